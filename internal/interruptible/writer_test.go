package interruptible_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
)

func TestWhatIsWrittenIsWhatArrivesBeforeAndAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		w := interruptible.Writer(ctx, &got)
		for _, text := range []string{"a", "", "b"} {
			n, err := io.WriteString(w, text)
			require.NoError(t, err)
			require.Equal(t, len(text), n)
		}
		cancel()
		time.Sleep(time.Hour) // a drain
		_, err := io.WriteString(w, "c")
		require.NoError(t, err)
		require.Equal(t, "abc", got.String())
		w = interruptible.Writer(t.Context(), readOnly{})
		_, err = io.WriteString(w, "x")
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

type readOnly struct{}

func (readOnly) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAWriteThatNobodyTakesIsGivenUpSomeTimeAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pipe := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		w := interruptible.Writer(ctx, pipe)
		ended := make(chan error, 1)
		go func() {
			_, err := io.WriteString(w, "something")
			ended <- err
		}()
		time.Sleep(time.Hour) // a slow reader is no fault
		require.Empty(t, ended)
		began := time.Now()
		cancel()
		require.ErrorIs(t, <-ended, interruptible.ErrNotTaken)
		require.Equal(t, interruptible.Grace, time.Since(began))
		_, err := io.WriteString(w, "more")
		require.ErrorIs(t, err, interruptible.ErrNotTaken, "and stays given up")
		require.NoError(t, r.Close()) // lets the write that was given up go
	})
}

func TestAFIFOThatNobodyReadsIsGivenUpWithItsContext(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := interruptible.OpenToWrite(ctx, fifo)
		ended <- err
	}()
	cancel()
	requireEnds(t, ended)
	reader, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0) // lets the open that was given up go
	require.NoError(t, err)
	require.NoError(t, reader.Close())
}
