package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestARollingRestartBehindNginxFailsNoRequest(t *testing.T) {
	t.Parallel() // it mostly waits
	rollingRestart(t, "nginx.conf", emulatortest.Nginx)
}

func TestARollingRestartBehindCaddyFailsNoRequest(t *testing.T) {
	t.Parallel() // it mostly waits
	rollingRestart(t, "Caddyfile", emulatortest.Caddy)
}

// rollingRestart restarts two replicas behind a real balancer, one after the other,
// while clients ask over connections that all keep open.
func rollingRestart(t *testing.T, configuration string, run func(testing.TB, string, string, map[string]string)) {
	c := onEmulators(t)
	replicas := []*replica{newReplica(c), newReplica(c)}
	front := emulatortest.FreeAddress(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "balancers", configuration))
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(front)
	run(t, strings.NewReplacer(
		"127.0.0.1:8000", front, "http://:8000", "http://:"+port,
		"127.0.0.1:8081", replicas[0].address, "127.0.0.1:8082", replicas[1].address,
	).Replace(string(text)), front, nil)
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, replicas[0].url()+"/v1/threads/th_1", "t_ada"))

	l := startLoad("http://" + front)
	defer l.end()
	for _, r := range replicas {
		r.awaitRequests()
		r.restart()
		r.awaitRequests() // else nobody would be left when the next one goes
	}
	answered := l.end()
	require.NoError(t, l.failed())
	require.NotZero(t, answered)
	t.Logf("%d requests answered, none failed", answered)
}

// replica is one server behind a balancer, at an address that it keeps.
type replica struct {
	program
	address string
	process *emulatortest.Process
}

func newReplica(c program) *replica {
	r := &replica{program: c, address: emulatortest.FreeAddress(c.t)}
	r.begin()
	return r
}

func (r *replica) url() string { return "http://" + r.address }

func (r *replica) begin() {
	r.t.Helper()
	r.process = r.start("serve", "--listen", r.address, "--shutdown-delay", "2s", "--log-format", "json")
	r.process.AwaitLine(`"listening"`, 30*time.Second)
}

func (r *replica) restart() {
	r.t.Helper()
	r.process.Signal(syscall.SIGTERM)
	require.Equal(r.t, exitDone, r.process.Wait(30*time.Second))
	r.begin()
}

// awaitRequests waits until the balancer sends requests to the replica.
func (r *replica) awaitRequests() {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		return gotChecks.MatchString(metrics(r.t, r.url()))
	}, 30*time.Second, 50*time.Millisecond)
}

// gotChecks is in the metrics once there was a check.
var gotChecks = regexp.MustCompile(`(?m)^http_server_request_duration_seconds_count\{.*http_route="/v1/threads/\{id\}/access".*\} [1-9]`)

// load is clients that ask without a pause for longer than a few milliseconds, and
// repeat nothing.
type load struct {
	stop     context.CancelFunc
	group    sync.WaitGroup
	answered atomic.Int64
	fault    atomic.Pointer[error] // the first
}

func startLoad(url string) *load {
	l := &load{}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for client := range 8 {
		l.group.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				if err := ask(transport, url, client, n); err != nil {
					l.fault.CompareAndSwap(nil, &err)
				}
				l.answered.Add(1)
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	return l
}

// end ends the load, and returns how many requests there were.
func (l *load) end() int64 {
	l.stop()
	l.group.Wait()
	return l.answered.Load()
}

func (l *load) failed() error {
	if err := l.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// ask sends one request: a check, a claim, or a take, which no proxy may repeat once
// it was sent.
func ask(transport *http.Transport, url string, client, n int) error {
	method, path := http.MethodGet, "/v1/threads/th_1/access"
	switch n % 3 {
	case 1:
		method, path = http.MethodPut, "/v1/threads/th_1"
	case 2:
		method, path = http.MethodPost, fmt.Sprintf("/v1/quota/client_%d/take", client)
	}
	request, err := http.NewRequest(method, url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Tenant-Id", "t_ada")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusTooManyRequests {
		err = errors.Join(fmt.Errorf("%s %s: %d %s", method, path, response.StatusCode, text), err)
	}
	return errors.Join(err, response.Body.Close())
}
