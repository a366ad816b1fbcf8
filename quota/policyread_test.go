package quota_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
)

func TestWhatIsNoFileOfPoliciesIsRefusedAndNotWaitedFor(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	large := filepath.Join(folder, "large.yaml")
	require.NoError(t, os.WriteFile(large, append([]byte("policies: []\n"), bytes.Repeat([]byte("# more\n"), 1<<20)...), 0o600))
	for file, fault := range map[string]string{
		pipe:                            "is no regular file",
		folder:                          "is no regular file",
		"/dev/zero":                     "is no regular file",
		large:                           "longer than 4 MiB",
		filepath.Join(folder, "nobody"): "no such file",
	} {
		told := make(chan error, 1)
		go func() {
			_, err := quota.New(newStage(), quota.Options{PolicyFile: file})
			told <- err
		}()
		select {
		case err := <-told:
			require.ErrorContains(t, err, fault)
			require.ErrorContains(t, err, file)
		case <-time.After(10 * time.Second):
			t.Fatal(file, "is waited for")
		}
	}
}

func TestALimiterWhosePolicyFileBecomesAPipeGoesOnAndCloses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policies.yaml")
		require.NoError(t, os.WriteFile(file, []byte("policies: [{limit: 3, window: 10s}]"), 0o600))
		options, log := logged(quota.Options{PolicyFile: file})
		l := limiter(t, newStage(), options)
		require.NoError(t, os.Remove(file))
		require.NoError(t, syscall.Mkfifo(file, 0o600))
		time.Sleep(10 * time.Second)
		require.Equal(t, 3, drain(t, l))
		require.Contains(t, log.String(), "is no regular file")
		require.NoError(t, l.Close(t.Context()))
	})
}
