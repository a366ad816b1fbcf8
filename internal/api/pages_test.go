package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// pages are a page that is open, one that is not, and one that goes on; ended tells
// when that one's context ends.
func pages(ended chan<- error) []api.Page {
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	return []api.Page{
		{Pattern: "/console", Open: true, Serve: say("page")},
		{Pattern: "/console/api/{what}", Serve: say("facts")},
		{Pattern: "/console/api/live/stream", Streams: true, Serve: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "live\n")
			ended <- http.NewResponseController(w).Flush()
			<-r.Context().Done()
			ended <- r.Context().Err()
		}},
	}
}

const consoleToken = "0123456789abcdef"

func TestThePageIsOpenAndWhatItAsksIsNot(t *testing.T) {
	s := serve(t, api.Options{Tokens: []string{consoleToken}, Console: pages(nil)})
	require.Equal(t, "page", s.ask(t, "GET /console").body)
	require.Equal(t, http.StatusUnauthorized, s.ask(t, "GET /console/api/moves").StatusCode)
	require.Equal(t, "facts", s.ask(t, "GET /console/api/moves\nAuthorization: Bearer "+consoleToken).body)
	require.Equal(t, http.StatusMethodNotAllowed, s.ask(t, "POST /console").StatusCode)
	require.Equal(t, http.StatusNotFound, s.ask(t, "GET /console/").StatusCode)
}

// A link to the page may stand on any site. What it asks may not be asked from one,
// nor may the page be had under a name that is not loopback's.
func TestWithoutATokenOtherSitesMayLinkToThePageAndNoMore(t *testing.T) {
	s := serve(t, api.Options{Console: pages(nil)})
	const linked = "\nSec-Fetch-Site: cross-site"
	require.Equal(t, "page", s.ask(t, "GET /console"+linked).body)
	require.Equal(t, http.StatusForbidden, s.ask(t, "GET /console/api/moves"+linked).StatusCode)
	require.Equal(t, http.StatusForbidden, s.ask(t, "GET /v1/openapi.json"+linked).StatusCode, "the exception is the page's alone")
	require.Equal(t, "facts", s.ask(t, "GET /console/api/moves\nSec-Fetch-Site: same-origin").body)
	require.Equal(t, http.StatusMisdirectedRequest, s.ask(t, "GET http://evil.example/console").StatusCode)
}

func TestAServerOfHealthAloneHasNoPages(t *testing.T) {
	server, err := api.New(api.Options{Console: pages(nil)})
	require.NoError(t, err)
	for _, route := range server.Routes() {
		require.NotContains(t, route, "console")
	}
}

// live opens the page that goes on, and returns when it has begun.
func live(t *testing.T, s *served, ended <-chan error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/console/api/live/stream", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+consoleToken)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "live\n", line)
	require.NoError(t, <-ended)
	go func() { _, _ = io.Copy(io.Discard, answer.Body) }()
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	ended := make(chan error, 2)
	s := serve(t, api.Options{Tokens: []string{consoleToken}, Console: pages(ended)})
	live(t, s, ended)
	require.NoError(t, s.server.SetTokens([]string{consoleToken, "fedcba9876543210"}, nil))
	select {
	case err := <-ended:
		t.Fatalf("it ended with a token that holds: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	require.NoError(t, s.server.SetTokens([]string{"fedcba9876543210"}, nil))
	require.ErrorIs(t, <-ended, context.Canceled)
}

// It takes no slot of the requests in progress, and no drain waits for it.
func TestAStreamHoldsNobodyUp(t *testing.T) {
	ended := make(chan error, 2)
	s := serve(t, api.Options{Tokens: []string{consoleToken}, Console: pages(ended), MaxConcurrent: 1, RequestTimeout: 100 * time.Millisecond})
	live(t, s, ended)
	require.Equal(t, "facts", s.ask(t, "GET /console/api/moves\nAuthorization: Bearer "+consoleToken).body)
	s.stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}
