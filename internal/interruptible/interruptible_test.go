package interruptible_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
)

const soon = 10 * time.Second

func TestWhatIsReadIsWhatIsThere(t *testing.T) {
	text := strings.Repeat("0123456789", 100_000)
	require.NoError(t, iotest.TestReader(interruptible.Reader(t.Context(), strings.NewReader(text)), []byte(text)))
	got, err := io.ReadAll(interruptible.Reader(t.Context(), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))))
	require.ErrorIs(t, err, iotest.ErrTimeout)
	require.Equal(t, "0", string(got))
}

func TestAReadThatWaitsEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		input := interruptible.Reader(ctx, r)
		ended := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(input)
			ended <- err
		}()
		_, err := io.WriteString(w, "something, and no end\n")
		require.NoError(t, err)
		synctest.Wait() // for more
		require.Empty(t, ended)
		cancel()
		requireEnds(t, ended)
		_, err = input.Read(make([]byte, 1))
		require.ErrorIs(t, err, context.Canceled, "and stays ended")
		require.NoError(t, w.Close()) // lets the read that was given up go
	})
}

func TestAFIFOThatNobodyWritesIsGivenUpWithItsContext(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := interruptible.Open(ctx, fifo)
		ended <- err
	}()
	cancel()
	requireEnds(t, ended)
	w, err := os.OpenFile(fifo, os.O_RDWR, 0) // lets the one that was given up go
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

func TestFilesAndFIFOsAreReadToTheirEnd(t *testing.T) {
	dir := t.TempDir()
	file, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "fifo")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	go func() { _ = os.WriteFile(fifo, []byte("text"), 0o600) }()
	for _, name := range []string{file, fifo} {
		f, err := interruptible.Open(t.Context(), name)
		require.NoError(t, err)
		text, err := io.ReadAll(f)
		require.NoError(t, err)
		require.Equal(t, "text", string(text))
		require.NoError(t, f.Close())
	}
	_, err := interruptible.Open(t.Context(), filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func requireEnds(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(soon):
		t.Fatal("it waits still")
	}
}
