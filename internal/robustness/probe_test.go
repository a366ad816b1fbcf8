//go:build proofs

package robustness

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// probeVariable makes the test binary the other end of probes: it says the address.
const probeVariable = "ROBUSTNESS_PROBE"

func TestMain(m *testing.M) {
	if address := os.Getenv(probeVariable); address != "" {
		empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
		_, _ = io.WriteString(os.Stderr, http.ListenAndServe(address, empty).Error()+"\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// probe sends bare requests to a process that does nothing else, one after the other,
// until the context ends, and records those that take long: an answer that is late by
// as much is late because the machine is.
func (x *installation) probe(ctx context.Context, address string) {
	const (
		often  = 50 * time.Millisecond
		record = int64(100 * time.Millisecond)
	)
	var worst, all, n int64
	for ; ctx.Err() == nil; n++ {
		r := judge.Record{Type: judge.Probe, At: now()}
		answer, err := http.Get("http://" + address)
		if err != nil {
			x.t.Errorf("probe: %v", err)
			return
		}
		_ = answer.Body.Close()
		r.Until = now()
		all, worst = all+r.Until-r.At, max(worst, r.Until-r.At)
		if r.Until-r.At >= record {
			x.history.record(r)
		}
		sleep(ctx, often)
	}
	x.t.Logf("%d bare requests took %v on average, and %v at most", n, time.Duration(all/max(1, n)), time.Duration(worst))
}

func (x *installation) newProbed(address string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), probeVariable+"="+address)
	cmd.Stderr = os.Stderr
	end, err := emulator.StartSupervised(cmd)
	require.NoError(x.t, err)
	x.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		end()
	})
	require.Eventually(x.t, func() bool {
		answer, err := http.Get("http://" + address)
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond)
}
