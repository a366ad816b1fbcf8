package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// An orchestrator that gets no answer about a process kills it, and one that is told
// to wait sends its requests elsewhere. What was sent here is answered once it can be.
func TestAServiceIsAliveAndNotReadyUntilItsStoreAnswers(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve"}, {"run"}, {"run", "--api"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			c := onEmulators(t)
			c.run(exitDone, "provision")
			link, err := wire.NewLink(c.project.FirestoreHost)
			require.NoError(t, err)
			defer link.Close()
			c.project.FirestoreHost = link.Addr()
			link.Blackhole()
			api, metrics := freeAddress(t), freeAddress(t)
			p := c.start(append(args, "--listen", api, "--metrics-listen", metrics)...)
			api, metrics = "http://"+api, "http://"+metrics
			for _, url := range []string{api, metrics} {
				require.Eventually(t, func() bool { return isAlive(url) }, 30*time.Second, 5*time.Millisecond)
				require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/readyz", ""))
				require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/readyz?store", ""))
				require.Equal(t, http.StatusOK, get(t, url+"/version", ""))
			}
			require.Equal(t, http.StatusOK, get(t, metrics+"/metrics", ""))
			if args[0] == "run" {
				require.Equal(t, http.StatusServiceUnavailable, get(t, api+"/readyz/worker", ""))
			}
			asked := make(chan int, 1)
			go func() { asked <- get(t, api+"/v1/threads/th_1/access", "t_ada") }()

			link.Restore()
			for _, url := range []string{api, metrics} {
				require.Eventually(t, func() bool { return get(t, url+"/readyz", "") == http.StatusOK }, 30*time.Second, 5*time.Millisecond)
			}
			require.Equal(t, http.StatusNotFound, <-asked)
			p.Signal(syscall.SIGTERM)
			require.Equal(t, exitDone, p.Wait(30*time.Second))
		})
	}
}

// isAlive reports whether a process answers that it is alive.
func isAlive(url string) bool {
	response, err := http.Get(url + "/livez")
	if err != nil {
		return false // it does not listen yet
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Nobody waits for the requests that wait when a start fails, or is broken off.
func TestAStartThatEndsDoesNotWaitForRequests(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	link, err := wire.NewLink(c.project.FirestoreHost)
	require.NoError(t, err)
	defer link.Close()
	c.project.FirestoreHost = link.Addr()
	link.Blackhole()
	address := freeAddress(t)
	p := c.start("serve", "--listen", address)
	require.Eventually(t, func() bool { return isAlive("http://" + address) }, 30*time.Second, 5*time.Millisecond)
	waits := keepOpen(t, "http://"+address)
	waits.send("GET /v1/threads/th_1/access")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, http.StatusServiceUnavailable, waits.answer().StatusCode)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}
