package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// bearer sends a token with every request.
type bearer struct {
	token string
	over  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.over.RoundTrip(r)
}

// A token that was revoked because somebody has stolen it must not tell for another
// hour what becomes of every tenant's threads.
func TestAWatchEndsWithItsToken(t *testing.T) {
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			o, reader := measured(api.Options{Tokens: []string{"old", "new"}})
			s := watching(t, o)
			s.own(t, "t_ann", "one")
			with := func(token string) *watched {
				w := s.watch(t, &http.Client{Transport: bearer{token, client.Transport}}, "t_ann thread one")
				w.next(t, "state")
				return w
			}
			replaced, stays := with("old"), with("new")
			require.NoError(t, s.server.SetTokens([]string{"new"}, nil))
			replaced.next(t, "closing", "certified", "uncertain", "state")
			_, open := <-replaced.events
			require.False(t, open, "the stream ends")
			require.EqualValues(t, 1, numbersOf(t, reader, "registry.watch.ended")["revoked"])
			stays.next(t, "certified", "uncertain", "state")
			s.move(t, "t_ann", "t_bob", thread("one"))
			stays.next(t, "lost", "certified", "uncertain", "state")
		})
	}
}

// Streams of HTTP/2 share a connection whose client lets no more than 64 KiB through.
func TestAReaderOfHTTP2ThatDoesNotReadIsCutOffAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	o, reader := measured(api.Options{})
	s := watching(t, o)
	s.own(t, "t_ann", "one")
	var missing []string
	for i := range 5000 {
		missing = append(missing, fmt.Sprintf("t_ann thread missing_%d", i))
	}
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	deaf := &http.Client{Transport: &http.Transport{Protocols: h2, HTTP2: &http.HTTP2Config{
		MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10,
	}}}
	for range 4 { // each has 24 KB to say at first
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/v1/watch", strings.NewReader(watchBody(missing...)))
		require.NoError(t, err)
		answer, err := deaf.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = answer.Body.Close() }) // never read
	}
	w := s.watch(t, http.DefaultClient, "t_ann thread one")
	w.next(t, "state")
	require.Eventually(t, func() bool {
		w.next(t, "certified")
		return numbersOf(t, reader, "registry.watch.ended")["not_read"] > 0
	}, time.Minute, time.Millisecond)
	s.move(t, "t_ann", "t_bob", thread("one"))
	w.next(t, "lost", "certified")
}

// Nothing comes over a connection that is half open, neither an end nor an answer. One
// of HTTP/1.1 ends when what it does not acknowledge fills its small buffer.
func TestAHalfOpenConnectionOfHTTP2DoesNotKeepItsWatches(t *testing.T) {
	t.Parallel()
	o, reader := measured(api.Options{RequestTimeout: time.Second})
	s := serveOver(t, o, verifier.Options{MaxStaleness: staleness})
	s.own(t, "t_ann", "one")
	link, err := wire.NewLink(s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = link.Close() })
	w, err := openWatch(t.Context(), clients()["HTTP/2.0"], link.Addr(), watchBody("t_ann thread one"))
	require.NoError(t, err)
	t.Cleanup(w.leave)
	w.next(t, "state")
	link.Blackhole()
	require.Eventually(t, func() bool {
		return numbersOf(t, reader, "registry.watch.open")[""] == 0
	}, time.Minute, 10*time.Millisecond)
}

// The move of a whole tenant is one event to each connection, of all that it loses
// there.
func TestAMoveOfATenantIsOneEventToEachConnection(t *testing.T) {
	const connections, each = 2, 5000
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := watching(t, api.Options{})
			var all []*watched
			for i := range connections {
				var asked []string
				for j := range each {
					id := fmt.Sprintf("th_%d_%d", i, j)
					s.own(t, "t_ann", id)
					asked = append(asked, "t_ann thread "+id)
				}
				all = append(all, s.watch(t, client, asked...))
			}
			for _, w := range all {
				require.Empty(t, w.next(t, "state").Refused)
				w.next(t, "certified", "uncertain")
			}
			s.move(t, "t_ann", "t_bob", registry.Resource{})
			for _, w := range all {
				require.Len(t, w.next(t, "lost", "certified", "uncertain").Resources, each)
			}
		})
	}
}
