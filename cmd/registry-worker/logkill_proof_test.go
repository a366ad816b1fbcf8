//go:build proofs

package main

import (
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// An API stores claims, and Pub/Sub takes none of them: it accepts, and is silent. The
// API is killed, hard. A worker that starts afterwards, and is told nothing, publishes
// all of them.
func TestAClaimOfAProcessThatWasKilledReachesTheLog(t *testing.T) {
	t.Parallel()
	const claims = 50
	c := onEmulators(t)
	c.run(exitDone, "provision")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	dying := c
	dying.env = append(dying.env, "PUBSUB_EMULATOR_HOST="+silent.Addr().String())
	api, url := dying.service("serve")
	began := time.Now()
	want := map[string]bool{}
	for i := range claims {
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, fmt.Sprint(url, "/v1/threads/th_", i), "t_ada"))
		want[fmt.Sprintf("thread__th_%d__t_ada", i)] = true
	}
	require.Less(t, time.Since(began), 10*time.Second, "no answer waits for the log")
	api.Signal(syscall.SIGKILL)
	api.Wait(10 * time.Second)

	c.service("run")
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		log, err := pubsubadmin.OpenLog(t.Context(), client, "realtime-registry-log", began.Add(-time.Minute), time.Now())
		require.NoError(t, err)
		defer log.Close()
		found := map[string]bool{}
		for line, err := range log.Lines(t.Context()) {
			require.NoError(t, err)
			e, err := archived.Decode(line.Text, time.Now())
			require.NoError(t, err)
			require.True(t, want[e.ID], "%s was not claimed", e.ID)
			found[e.ID] = true
		}
		return len(found) == claims
	}, 4*time.Minute, time.Second)
	require.Eventually(t, func() bool { return c.examined(exitDone)["log"].Verdict == fine }, time.Minute, time.Second)
}
