package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// keepAlive is a connection that is kept open between requests.
type keepAlive struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func keepOpen(t *testing.T, url string) keepAlive {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return keepAlive{t, conn, bufio.NewReader(conn)}
}

func (k keepAlive) send(request string) {
	k.t.Helper()
	_, err := fmt.Fprintf(k, "%s HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ada\r\n\r\n", request)
	require.NoError(k.t, err)
}

func (k keepAlive) answer() *http.Response {
	k.t.Helper()
	response, err := http.ReadResponse(k.answers, nil)
	require.NoError(k.t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(k.t, err)
	return response
}

func (k keepAlive) ask(request string) *http.Response {
	k.t.Helper()
	k.send(request)
	return k.answer()
}

func TestAfterSIGTERMReadinessFailsFirstAndAllElseIsAnsweredOn(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	c.run(exitDone, "provision")
	for _, args := range [][]string{{"serve"}, {"run", "--api"}} {
		p, url := c.service(append(args, "--shutdown-delay", "10m", "--miss-grace", "1s")...)
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_"+args[0], "t_ada"))
		idle, busy := keepOpen(t, url), keepOpen(t, url)
		require.False(t, idle.ask("GET /readyz/api").Close)
		busy.send("GET /v1/threads/absent/access") // for a second
		p.Signal(syscall.SIGTERM)
		p.AwaitLine("shutting down", 30*time.Second)

		require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/readyz", ""))
		require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/readyz/api", ""))
		require.Equal(t, http.StatusOK, get(t, url+"/livez", ""))
		require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/th_"+args[0]+"/access", "t_ada"))
		require.Equal(t, http.StatusNoContent, do(t, http.MethodPost, url+"/v1/quota/connect/take", "t_ada"))
		require.Equal(t, http.StatusNotFound, busy.answer().StatusCode)
		last := idle.ask("GET /v1/threads/th_" + args[0] + "/access")
		require.Equal(t, http.StatusNoContent, last.StatusCode)
		require.True(t, last.Close, "a client that keeps it open is sent elsewhere")
		p.Kill()
	}
}

func TestASIGINTDoesNotWaitForLoadBalancers(t *testing.T) {
	t.Parallel() // it mostly waits
	p, _ := onEmulators(t).service("serve", "--shutdown-delay", "10m")
	p.Signal(syscall.SIGINT)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}

func TestAnOutageOfTheStoreTakesNoServerOutOfService(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	link, err := wire.NewLink(c.project.FirestoreHost)
	require.NoError(t, err)
	defer link.Close()
	c.project.FirestoreHost = link.Addr()
	_, url := c.service("serve")
	take := func() int { return do(t, http.MethodPost, url+"/v1/quota/blk/take", "t_ada") }
	for range 40 {
		require.Equal(t, http.StatusNoContent, take())
	}
	require.Equal(t, http.StatusOK, get(t, url+"/readyz?store", ""))
	require.Equal(t, "1", scrape(t, url, storeUp))

	link.Refuse()
	require.Eventually(t, func() bool { return get(t, url+"/readyz?store", "") == http.StatusServiceUnavailable }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, "0", scrape(t, url, storeUp))
	require.Equal(t, http.StatusOK, get(t, url+"/readyz", ""))
	require.Equal(t, http.StatusOK, get(t, url+"/livez", ""))
	require.Equal(t, http.StatusNoContent, take(), "from its block")
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", "t_ada"))

	link.Restore()
	require.Eventually(t, func() bool { return get(t, url+"/readyz?store", "") == http.StatusOK }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, "1", scrape(t, url, storeUp))
}

const storeUp = "registry_store_up"

func TestChecksAreAnsweredThoughASubscriptionHasGone(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	c.run(exitDone, "provision")
	p, url := c.service("run", "--api", "--streams", "1")
	alone, _ := c.service("run", "--streams", "1")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_ada"))
	require.Equal(t, http.StatusOK, get(t, url+"/readyz/worker", ""))

	const gone = "nexus-canvas-created.realtime-registry"
	c.deleteSubscription(gone)
	require.Eventually(t, func() bool { return get(t, url+"/readyz/worker", "") == http.StatusServiceUnavailable }, time.Minute, 50*time.Millisecond)
	require.Equal(t, exitFault, alone.Wait(time.Minute), "a worker alone has nothing else to do")
	p.AwaitLine("the worker has ended, and is started again", 30*time.Second)
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/readyz", ""))
	require.Equal(t, http.StatusOK, get(t, url+"/readyz/api", ""))
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/th_1/access", "t_ada"))

	c.run(exitDone, "provision")
	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_2")))
	require.Eventually(t, func() bool { return get(t, url+"/v1/threads/th_2/access", "t_ada") == http.StatusNoContent }, 2*time.Minute, 100*time.Millisecond)
	require.Eventually(t, func() bool { return get(t, url+"/readyz", "") == http.StatusOK }, time.Minute, 50*time.Millisecond)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
}

func TestAWorkerTellsItsHealthUntilItHasDrained(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	link, err := wire.NewLink(c.project.FirestoreHost)
	require.NoError(t, err)
	defer link.Close()
	c.run(exitDone, "provision")
	behind := c
	behind.project.FirestoreHost = link.Addr()
	p, monitor := behind.service("run", "--streams", "1", "--metrics-listen", "127.0.0.1:0") // it is the first to listen
	own := addressIn(p.AwaitLine(`"api":false,"console"`, 30*time.Second))
	link.Blackhole()
	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1")))
	require.Eventually(t, func() bool { return scrape(t, monitor, "registry_messages_outstanding") == "1" }, 30*time.Second, 20*time.Millisecond)
	p.Signal(syscall.SIGTERM)
	for _, url := range []string{own, monitor} {
		require.Eventually(t, func() bool { return get(t, url+"/readyz/worker", "") == http.StatusServiceUnavailable }, 30*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusOK, get(t, url+"/livez", ""))
	}
	link.Restore()
	require.Equal(t, exitDone, p.Wait(time.Minute))
}

func (c program) deleteSubscription(name string) {
	c.t.Helper()
	client, err := pubsub.NewClient(c.t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(c.t, err)
	defer client.Close()
	require.NoError(c.t, client.SubscriptionAdminClient.DeleteSubscription(c.t.Context(), &pubsubpb.DeleteSubscriptionRequest{
		Subscription: client.Subscriber(name).String(),
	}))
}
