package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestServicesDrainOnSignalsAndExitWith0(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	for _, args := range [][]string{{"run"}, {"run", "--api"}, {"serve"}, {"dev"}} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			t.Run(fmt.Sprintf("%s by %s", strings.Join(args, " "), signal), func(t *testing.T) {
				t.Parallel()
				p, _ := program{t: t, project: c.project}.service(args...)
				p.Signal(signal)
				require.Equal(t, exitDone, p.Wait(30*time.Second))
			})
		}
	}
}

func TestASecondCtrlCDoesNotWaitForTheDrain(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	p, url := c.service("serve")
	slow, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer slow.Close()
	// A request in progress: its body is awaited.
	_, err = fmt.Fprint(slow, "PUT /v1/threads/th_1 HTTP/1.1\r\nHost: x\r\nX-Tenant-Id: t_ada\r\nContent-Length: 5\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { // connections are taken in order: by now the slow one is in progress
		return get(t, url+"/livez", "") == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)

	p.Signal(syscall.SIGTERM)
	require.Eventually(t, func() bool { // the drain has begun
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { // those of the first second are one with the first
		p.Signal(syscall.SIGINT)
		select {
		case <-p.Done():
			return true
		default:
			return false
		}
	}, 10*time.Second, 100*time.Millisecond)
	require.Equal(t, exitFault, p.Wait(10*time.Second))
	require.Contains(t, p.Stderr.String(), "second signal")
}

func TestLogsAreJSONWhereNobodyLooks(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	p, _ := c.service("serve") // with --log-format json; the next one is left to decide
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
	p = c.start("serve", "--listen", "127.0.0.1:0")
	p.AwaitLine("listening", 30*time.Second)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
	for _, line := range p.Stderr.Lines() {
		require.True(t, json.Valid([]byte(line)), line)
	}
}

func TestTheWorkerAloneTellsItsHealthAndNothingElse(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	p, url := c.service("run")
	require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/th_1/access", "t_ada"))
	require.Equal(t, http.StatusNotFound, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_ada"))
	require.Equal(t, http.StatusOK, get(t, url+"/metrics", ""))
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}

func TestTokensGuardTheAPI(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	p := emulatortest.Run(t, append(c.project.Environ(), "REGISTRY_API_TOKEN=reader-reader-reader", "REGISTRY_CLAIM_TOKEN=writer-writer-writer"),
		emulatortest.Binary(t), "serve", "--listen", "0.0.0.0:0", "--log-format", "json", "--log-level", "info")
	line := p.AwaitLine(`"msg":"listening"`, 30*time.Second)
	_, port, _ := strings.Cut(line, `"address":"[::]:`)
	port, _, _ = strings.Cut(port, `"`)
	status := func(method, path, token string) int {
		request, err := http.NewRequest(method, "http://127.0.0.1:"+port+path, nil)
		require.NoError(t, err)
		request.Header.Set("X-Tenant-Id", "t_ada")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusUnauthorized, status(http.MethodGet, "/v1/threads/th_1/access", ""))
	require.Equal(t, http.StatusNotFound, status(http.MethodGet, "/v1/threads/th_1/access", "reader-reader-reader"))
	require.Equal(t, http.StatusUnauthorized, status(http.MethodPut, "/v1/threads/th_1", "reader-reader-reader"))
	require.Equal(t, http.StatusCreated, status(http.MethodPut, "/v1/threads/th_1", "writer-writer-writer"))
	require.Equal(t, http.StatusOK, status(http.MethodGet, "/livez", ""))
	require.NotContains(t, p.Stderr.String(), "reader")
}

func TestDevWithoutEmulatorsSaysSoAndAnswersFromMemory(t *testing.T) {
	t.Parallel()
	p := emulatortest.Run(t, []string{"FIRESTORE_EMULATOR_HOST=", "PUBSUB_EMULATOR_HOST=", "PATH=/nonexistent", "CLOUDSDK_ROOT_DIR=/nonexistent"},
		emulatortest.Binary(t), "dev", "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info")
	line := p.AwaitLine(`"msg":"listening"`, 30*time.Second)
	_, rest, _ := strings.Cut(line, `"address":"`)
	address, _, _ := strings.Cut(rest, `"`)
	require.Contains(t, p.Stderr.String(), "not installed")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, "http://"+address+"/v1/threads/th_1", "t_ada"))
	require.Equal(t, http.StatusNoContent, get(t, "http://"+address+"/v1/threads/th_1/access", "t_ada"))
	p.Signal(syscall.SIGINT)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}
