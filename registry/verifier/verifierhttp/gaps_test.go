package verifierhttp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// over starts the handler behind a guard over HTTP/1.1 and over HTTP/2; lose takes
// the resource away.
func over(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, s *httptest.Server, lose func())) {
	t.Helper()
	for name, second := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			lost := make(losing)
			s := startSmall(t, second, protected(t, lost, handler))
			test(t, s, func() { close(lost) })
		})
	}
}

func post(t *testing.T, s *httptest.Server, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, body)
	require.NoError(t, err)
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

func TestTheBodyOfARequestIsNotReadOnAfterTheLoss(t *testing.T) {
	read := make(chan string)
	over(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_ = http.NewResponseController(w).Flush()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				read <- err.Error()
				return
			}
			read <- line
		}
	}, func(t *testing.T, s *httptest.Server, lose func()) {
		body, sending := io.Pipe()
		defer sending.Close()
		answer := make(chan *http.Response, 1)
		go func() { answer <- post(t, s, body) }()
		_, _ = io.WriteString(sending, "one\n")
		require.Equal(t, "one\n", <-read)
		lose()
		require.Equal(t, verifierhttp.ErrLost.Error(), <-read, "also where it waits for more")
		_, _ = io.Copy(io.Discard, (<-answer).Body)
	})
}

func TestAHandlerThatWaitsForSomethingElseIsEndedAndItsClientTold(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	over(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-stop
	}, func(t *testing.T, s *httptest.Server, lose func()) {
		answer := post(t, s, nil)
		lose()
		body, _ := io.ReadAll(answer.Body) // HTTP/2 resets the stream
		require.Equal(t, "data: hello\n\nevent: registry.closed\ndata: ownership_lost\n\n", untimed(t, body))
		s.CloseClientConnections()
	})
}

func TestAHandlerThatHasNotAnsweredAndWaitsIsRefusedUnderIt(t *testing.T) {
	stop, reached := make(chan struct{}), make(chan struct{}, 1)
	defer close(stop)
	over(t, func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-stop
	}, func(t *testing.T, s *httptest.Server, lose func()) {
		go func() {
			<-reached
			lose()
		}()
		answer := post(t, s, nil)
		body, _ := io.ReadAll(answer.Body) // HTTP/2 resets the stream behind it
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
		require.Contains(t, string(body), "no such resource")
		s.CloseClientConnections()
	})
}

// What ends in the middle of an event is dropped by clients. A newline behind it
// would dispatch it, with its id, and the rest would be lost to a client that
// resumes. When to come back is a line of its own, which counts all the same.
func TestAnEventThatIsHalfWrittenIsNotCompleted(t *testing.T) {
	const (
		retry = "retry: \n"
		last  = retry + "event: registry.closed\ndata: ownership_lost\n\n"
	)
	for written, after := range map[string]string{
		"id: 17\ndata: seven":                     "\n" + retry,
		"id: 17\ndata: seven\n":                   retry,
		"data: a\n\nid: 17\ndata: b\r\n":          retry,
		"id: 17\ndata: b\r\n\r":                   last,
		"id: 17\ndata: b\r\r":                     last,
		"id: 17\r\ndata: b\r\n\r\n":               last,
		"id: 17\ndata: b\n\n":                     last,
		"data: b\n\n:keep-alive":                  "\n" + last,
		"data: b\n\n:keep-alive\n":                last,
		"data: b\n\n:keep-alive\nid: 18\n":        retry,
		"data: b\n\n:keep-alive\nid: 18\n:more\n": retry,
		"data: b\n\nid: 18\n:more":                "\n" + retry,
	} {
		over(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "Text/Event-Stream; charset=utf-8")
			for _, b := range []byte(written) { // however it is cut
				_, _ = w.Write([]byte{b})
			}
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, func(t *testing.T, s *httptest.Server, lose func()) {
			answer := post(t, s, nil)
			lose()
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.Equal(t, written+after, digits.ReplaceAllString(string(body), "retry: \n"))
		})
	}
}

func TestHeadersOfTheHandlerDoNotGetOutWithTheRefusal(t *testing.T) {
	reached := make(chan struct{}, 1)
	over(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Thread-Title", "secret")
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusEarlyHints)
		reached <- struct{}{}
		<-r.Context().Done()
		w.Header().Set("X-Thread-Title", "secret")
		w.WriteHeader(http.StatusOK)
	}, func(t *testing.T, s *httptest.Server, lose func()) {
		go func() {
			<-reached
			lose()
		}()
		answer := post(t, s, nil)
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
		require.Empty(t, answer.Header.Get("X-Thread-Title"))
		require.Empty(t, answer.Header.Get("Content-Encoding"))
	})
}

func TestTrailersGetOutOfAGoodAnswerAndNotOfALostOne(t *testing.T) {
	trailers := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set(http.TrailerPrefix+"X-Early", "secret")
		fmt.Fprint(w, "hello")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/lost" {
			<-r.Context().Done()
		}
		w.Header().Set("X-Sum", "secret")
		w.Header().Set(http.TrailerPrefix+"X-Late", "secret")
	}
	over(t, trailers, func(t *testing.T, s *httptest.Server, lose func()) {
		good := post(t, s, nil)
		_, err := io.Copy(io.Discard, good.Body)
		require.NoError(t, err)
		require.Equal(t, "secret", good.Trailer.Get("X-Sum"))
		require.Equal(t, "secret", good.Trailer.Get("X-Late"))

		s.URL += "/lost"
		lost := post(t, s, nil)
		lose()
		body, err := io.ReadAll(lost.Body)
		require.NoError(t, err)
		require.Equal(t, "hello", string(body))
		for name, values := range lost.Trailer {
			require.Empty(t, values, name)
		}
	})
}

func TestNothingPlainIsAddedToWhatIsEncodedOrOfAPromisedLength(t *testing.T) {
	for _, header := range [][2]string{{"Content-Encoding", "gzip"}, {"Content-Length", "100"}} {
		over(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set(header[0], header[1])
			fmt.Fprint(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, func(t *testing.T, s *httptest.Server, lose func()) {
			s.Client().Transport.(*http.Transport).DisableCompression = true
			answer := post(t, s, nil)
			lose()
			body, _ := io.ReadAll(answer.Body) // ends early if a length was promised
			require.Equal(t, "data: x\n\n", string(body))
		})
	}
}

func TestHeadersOfAnAnswerWithoutABodyAreSent(t *testing.T) {
	over(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Seen", "yes")
	}, func(t *testing.T, s *httptest.Server, _ func()) {
		require.Equal(t, "yes", post(t, s, nil).Header.Get("X-Seen"))
	})
}

func TestClientsThatVanishLeaveNothingBehind(t *testing.T) {
	const clients = 300
	for name, forget := range map[string]func(net.Conn, *bufio.ReadWriter){
		"read to the end, and not closed": func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = io.Copy(io.Discard, rw) },
		"forgotten at once":               func(net.Conn, *bufio.ReadWriter) {},
		"written to until that fails": func(c net.Conn, _ *bufio.ReadWriter) {
			for {
				if _, err := c.Write(frame); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			goroutines, files := runtime.NumGoroutine(), openFiles(t)
			t.Cleanup(func() { requireNothingLeft(t, goroutines, files) })
			s := startSmall(t, false, protected(t, make(losing), upgraded(func(c net.Conn, rw *bufio.ReadWriter, _ <-chan struct{}) { forget(c, rw) }, nil)))
			before, open := runtime.NumGoroutine(), openFiles(t)
			for range clients {
				require.NoError(t, openSocket(t, s).Close())
			}
			requireNothingLeft(t, before, open)
		})
	}
}

// When the context has ended it is too late for the handler, at once.
func TestDeadlinesAndWritesFailWithTheCauseFromTheEndOfTheContextOn(t *testing.T) {
	tried := make(chan []error, 1)
	over(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.Flush()
		<-r.Context().Done()
		_, writing := w.Write([]byte("secret"))
		_, _, hijacking := control.Hijack()
		tried <- []error{writing, control.Flush(), control.SetReadDeadline(far()), control.SetWriteDeadline(far()), control.EnableFullDuplex(), hijacking}
	}, func(t *testing.T, s *httptest.Server, lose func()) {
		post(t, s, nil)
		lose()
		for i, err := range <-tried {
			require.ErrorIs(t, err, verifierhttp.ErrLost, "%d", i)
		}
	})
	lost := make(losing)
	s := startSmall(t, false, protected(t, lost, func(w http.ResponseWriter, r *http.Request) {
		upgraded(func(c net.Conn, _ *bufio.ReadWriter, _ <-chan struct{}) {
			<-r.Context().Done()
			_, writing := c.Write([]byte("secret"))
			_, reading := c.Read(make([]byte, 1))
			tried <- []error{writing, reading, c.SetDeadline(far()), c.SetReadDeadline(far()), c.SetWriteDeadline(far())}
		}, nil)(w, r)
	}))
	client := open(true)(t, s)
	defer client.Close()
	close(lost)
	for i, err := range <-tried {
		require.ErrorIs(t, err, verifierhttp.ErrLost, "%d", i)
	}
}
