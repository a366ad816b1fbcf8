package verifierhttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

var digits = regexp.MustCompile(`retry: [0-9]+\n`)

// untimed is the text of a stream without the time after which to come back, which
// it has once, and in its bounds.
func untimed(t *testing.T, body []byte) string {
	t.Helper()
	requireReturn(t, body, time.Second, 11*time.Second)
	return digits.ReplaceAllString(string(body), "")
}

// requireReturn returns when the stream asks its client to come back.
func requireReturn(t *testing.T, body []byte, least, most time.Duration) time.Duration {
	t.Helper()
	fields := digits.FindAllString(string(body), -1)
	require.Len(t, fields, 1, "%s", body)
	ms, err := strconv.Atoi(fields[0][len("retry: ") : len(fields[0])-1])
	require.NoError(t, err)
	retry := time.Duration(ms) * time.Millisecond
	require.GreaterOrEqual(t, retry, least)
	require.LessOrEqual(t, retry, most)
	return retry
}

// ask is a request of an EventSource's, unless it accepts something else.
func ask(h http.Handler, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/threads/th_1/events", nil)
	r.Header.Set("Test-Tenant", "t_bob")
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestABrowserThatIsRefusedForAWhileComesBack(t *testing.T) {
	browser := ask(transport(t, down{}, verifierhttp.Options{}), "text/event-stream")
	require.Equal(t, http.StatusOK, browser.Code)
	require.Equal(t, "text/event-stream", browser.Header().Get("Content-Type"))
	require.Equal(t, "no-store", browser.Header().Get("Cache-Control"))
	requireReturn(t, browser.Body.Bytes(), 3*time.Second, 13*time.Second)
	require.Equal(t, "event: registry.closed\ndata: registry_unavailable\n\n", digits.ReplaceAllString(browser.Body.String(), ""))
	require.Equal(t, http.StatusServiceUnavailable, ask(transport(t, down{}, verifierhttp.Options{}), "*/*").Code, "others look at the status")
	require.Equal(t, http.StatusServiceUnavailable, ask(transport(t, down{}, verifierhttp.Options{PlainStatus: true}), "text/event-stream").Code)
	owned := ownedByAnn(t, verifier.Options{})
	require.Equal(t, http.StatusNotFound, ask(transport(t, owned, verifierhttp.Options{}), "text/event-stream").Code, "a 404 stays one")
}

// However many streams end with a move, and whatever else they were told.
func TestTheClientsOfStreamsThatEndTogetherComeBackOverAStatedTime(t *testing.T) {
	const streams, over = 300, 3 * time.Second
	var inTenth [10]int
	for range streams {
		w := ask(transport(t, down{}, verifierhttp.Options{ReturnOver: over}), "text/event-stream")
		retry := requireReturn(t, w.Body.Bytes(), 3*time.Second, 3*time.Second+over)
		inTenth[(retry-3*time.Second-1)*10/over]++
	}
	for _, returned := range inTenth {
		require.NotZero(t, returned, "%v", inTenth)
	}
}

// Its handler has not begun its answer when the registry goes away.
func TestAStreamThatHasNoAnswerYetIsRefusedInTheSameWay(t *testing.T) {
	reached := make(chan struct{})
	store, s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	go func() {
		<-reached
		store.Down.Store(true)
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Test-Tenant", "t_ann")
	r.Header.Set("Accept", "text/event-stream")
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "event: registry.closed\ndata: registry_unavailable\n\n", digits.ReplaceAllString(string(body), ""))
}

// An end that the handler makes is its own: it knows when its clients should come
// back.
func TestAStreamThatItsHandlerEndsIsLeftAsItIs(t *testing.T) {
	_, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: bye\n\n")
	})
	body, err := io.ReadAll(request(t, s).Body)
	require.NoError(t, err)
	require.Equal(t, "data: bye\n\n", string(body))
}

func TestANegativeTimeToComeBackOverIsRefused(t *testing.T) {
	_, err := verifierhttp.New(down{}, verifierhttp.Options{ReturnOver: -time.Second,
		Tenant:   func(*http.Request) string { return "" },
		Resource: func(*http.Request) registry.Resource { return registry.Resource{} },
	})
	require.ErrorContains(t, err, "ReturnOver is -1s")
}
