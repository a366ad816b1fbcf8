package verifierhttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

func TestAnEventStreamEndsWithItsReasonWhenItsTenantLosesTheResource(t *testing.T) {
	cause := make(chan error, 1)
	store, s := server(t, events(cause))
	answer := request(t, s)
	moveAway(t, store)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "data: hello\n\nevent: registry.closed\ndata: ownership_lost\n\n", untimed(t, body))
	require.ErrorIs(t, <-cause, verifierhttp.ErrLost)
	require.Equal(t, http.StatusNotFound, request(t, s).StatusCode, "a resume is verified again")
}

func TestAnEventStreamLivesThroughAShortOutageAndEndsInALongOne(t *testing.T) {
	cause := make(chan error, 1)
	store, s := server(t, events(cause))
	answer := request(t, s)
	store.Down.Store(true)
	select {
	case err := <-cause:
		require.ErrorIs(t, err, verifierhttp.ErrUncertain)
	case <-time.After(30 * time.Second):
		require.Fail(t, "it goes on")
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, untimed(t, body), "event: registry.closed\ndata: registry_unavailable\n\n")
}

func TestAStreamThatHasNotBegunIsRefused(t *testing.T) {
	reached := make(chan struct{})
	store, s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	go func() {
		<-reached
		moveAway(t, store)
	}()
	require.Equal(t, http.StatusNotFound, request(t, s).StatusCode)
}

func TestAHandlerThatLooksAtNothingButItsWritesIsStopped(t *testing.T) {
	stopped := make(chan error, 1)
	store, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := fmt.Fprint(w, "data: x\n\n"); err != nil {
				stopped <- err
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	answer := request(t, s)
	moveAway(t, store)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(untimed(t, body), "\n\nevent: registry.closed\ndata: ownership_lost\n\n"))
	require.ErrorIs(t, <-stopped, verifierhttp.ErrLost)
}

func TestAHandlerThatLooksAtNothingButItsFlushesIsStopped(t *testing.T) {
	stopped := make(chan error, 2)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		flusher := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if err := flusher.Flush(); err != nil {
				stopped <- err
				return
			}
			fmt.Fprint(w, "data: x\n\n")
			time.Sleep(time.Millisecond)
		}
	}
	store, s := server(t, handler)
	leaving := request(t, s)
	require.NoError(t, leaving.Body.Close())
	require.Error(t, <-stopped, "the client has left")
	request(t, s)
	moveAway(t, store)
	require.ErrorIs(t, <-stopped, verifierhttp.ErrLost)
}

func TestAWebSocketIsClosedWithItsCodeAlsoWhereItsHandlerHasReturned(t *testing.T) {
	for name, stay := range map[string]bool{"handler stays": true, "handler returns": false} {
		t.Run(name, func(t *testing.T) {
			gone, returned := make(chan error, 1), make(chan struct{})
			store, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, buffers, err := http.NewResponseController(w).Hijack()
				if err != nil {
					gone <- err
					return
				}
				fmt.Fprint(buffers, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				fmt.Fprint(buffers, "\x81\x02hi")
				_ = buffers.Flush()
				serve := func() {
					_, err := io.Copy(io.Discard, buffers)
					_, writing := conn.Write([]byte("\x81\x06secret"))
					require.ErrorIs(t, writing, verifierhttp.ErrLost)
					gone <- err
				}
				if stay {
					serve()
					return
				}
				go serve()
				close(returned)
			})
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nTest-Tenant: t_ann\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			in := bufio.NewReader(conn)
			answer, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
			hi := make([]byte, 4)
			_, err = io.ReadFull(in, hi)
			require.NoError(t, err)
			if !stay {
				<-returned
			}

			moveAway(t, store)
			rest, _ := io.ReadAll(in)
			const code = "\x11\x34" // 4404
			require.Equal(t, "\x88\x10"+code+"ownership_lost", string(rest))
			<-gone
		})
	}
}

func TestAnOrdinaryAnswerIsLeftAsItIs(t *testing.T) {
	_, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "tea")
	})
	answer := request(t, s)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, answer.StatusCode)
	require.Equal(t, "tea", string(body))
}

func TestAStreamOverHTTP2EndsWithItsReasonWhateverItsHandlerLooksAt(t *testing.T) {
	for name, wait := range map[string]func(context.Context) bool{
		"context": func(ctx context.Context) bool { <-ctx.Done(); return false },
		"writes":  func(context.Context) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			store, s := over2(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for {
					if _, err := fmt.Fprint(w, "data: hello\n\n"); err != nil {
						return
					}
					if http.NewResponseController(w).Flush() != nil || !wait(r.Context()) {
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
			answer := request(t, s)
			require.Equal(t, 2, answer.ProtoMajor)
			moveAway(t, store)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(untimed(t, body), "\n\nevent: registry.closed\ndata: ownership_lost\n\n"), string(body))
			require.Equal(t, http.StatusNotFound, request(t, s).StatusCode)
		})
	}
}
