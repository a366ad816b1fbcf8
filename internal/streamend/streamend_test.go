package streamend_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/streamend"
)

func TestWhoWantsAnEventStream(t *testing.T) {
	for _, c := range []struct {
		method string
		accept []string
		wanted bool
	}{
		{"GET", []string{"text/event-stream"}, true}, // what every EventSource sends
		{"GET", []string{"application/json, Text/Event-Stream;q=0.5"}, true},
		{"GET", []string{"application/json", "text/event-stream"}, true},
		{"GET", []string{"text/event-stream; q=0"}, false},
		{"GET", []string{"text/event-stream;q=0.000"}, false},
		{"GET", []string{"*/*"}, false},
		{"GET", []string{"text/*"}, false},
		{"GET", []string{""}, false},
		{"GET", nil, false},
		{"GET", []string{"text/event-streams"}, false},
		{"POST", []string{"text/event-stream"}, false},
		{"HEAD", []string{"text/event-stream"}, false},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header["Accept"] = c.accept
		require.Equal(t, c.wanted, streamend.Wanted(r), "%+v", c)
	}
}

func TestARefusalIsAStreamOfOneEvent(t *testing.T) {
	w := httptest.NewRecorder()
	streamend.Refuse(w, streamend.Throttled, 1500*time.Millisecond+1)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "retry: 1501\nevent: registry.closed\ndata: throttled\n\n", w.Body.String(), "no earlier than that")
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "no", w.Header().Get("X-Accel-Buffering"), "nginx passes it on at once")
}

func TestClientsComeBackOverTheWholeTime(t *testing.T) {
	const clients, over = 10_000, 10 * time.Second
	var inSecond [10]int
	for range clients {
		retry := streamend.Retry(over)
		require.GreaterOrEqual(t, retry, time.Second)
		require.Less(t, retry, time.Second+over)
		inSecond[(retry-time.Second)/time.Second]++
	}
	for second, returned := range inSecond {
		require.InDelta(t, clients/10, returned, 300, "second %d", second) // ten times the standard deviation
	}
	require.Equal(t, time.Second, streamend.Retry(0))
}
