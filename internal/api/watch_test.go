package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// event is one event of a watch. A comment has no name.
type event struct {
	name, retry string
	at          time.Time // when it was read

	Refused   []int
	Resources []int
	At        *int64 `json:"at_ms"`
	Age       *int64 `json:"age_ms"`
	Most      int64  `json:"max_staleness_ms"`
	Reason    string
}

// watched is a watch as its client sees it.
type watched struct {
	*http.Response
	sent   time.Time
	events chan event // closed at the end of the stream
	leave  func()
}

// watch opens a watch of "TENANT KIND ID" each.
func (s *served) watch(t *testing.T, client *http.Client, all ...string) *watched {
	t.Helper()
	w, err := openWatch(t.Context(), client, s.addr, watchBody(all...))
	require.NoError(t, err)
	t.Cleanup(w.leave)
	return w
}

func watchBody(all ...string) string {
	items := make([]string, len(all))
	for i, one := range all {
		f := strings.Fields(one)
		items[i] = fmt.Sprintf(`{"tenant_id":%q,"kind":%q,"id":%q}`, f[0], f[1], f[2])
	}
	return `{"resources":[` + strings.Join(items, ",") + `]}`
}

func openWatch(ctx context.Context, client *http.Client, addr, body string) (*watched, error) {
	ctx, leave := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/watch", strings.NewReader(body))
	if err != nil {
		leave()
		return nil, err
	}
	w := &watched{events: make(chan event, 10_000), leave: leave, sent: time.Now()}
	if w.Response, err = client.Do(r); err != nil {
		leave()
		return nil, err
	}
	go w.read()
	return w, nil
}

func (w *watched) read() {
	defer close(w.events)
	defer func() { _ = w.Body.Close() }()
	lines := bufio.NewScanner(w.Body)
	lines.Buffer(nil, 1<<20)
	var e event
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "retry":
			e.retry = value
		case "data":
			if json.Unmarshal([]byte(value), &e) != nil {
				return
			}
		case "":
			if lines.Text() == "" {
				e.at = time.Now()
				w.events <- e
				e = event{}
			}
		}
	}
}

// next returns the next event of a name, and skips comments and those of the
// names that are given.
func (w *watched) next(t *testing.T, name string, skip ...string) event {
	t.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case e, open := <-w.events:
			require.True(t, open, "the stream has ended before %s", name)
			if e.name == name {
				return e
			}
			require.Contains(t, append(skip, ""), e.name, "%+v", e)
		case <-late:
			require.Fail(t, "no "+name)
		}
	}
}

const staleness = 500 * time.Millisecond

func watching(t *testing.T, o api.Options) *served {
	t.Helper()
	return serveOver(t, o, verifier.Options{MaxStaleness: staleness})
}

func (s *served) own(t *testing.T, tenant string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, s.RegisterThread(t.Context(), tenant, id))
	}
}

var moves atomic.Int64

// move publishes a move; the zero resource is all that the tenant has.
func (s *served) move(t *testing.T, from, to string, r registry.Resource) {
	t.Helper()
	id := fmt.Sprint(moves.Add(1))
	outcome := s.store.Apply(t.Context(), []ownership.Change{{Resource: r, Entry: ownership.Entry{
		Type: ownership.Moved, From: from, To: to,
		Version: ownership.Version{Time: time.Now(), Source: "test", ID: id},
	}}})[0]
	require.NoError(t, outcome.Err)
}

func thread(id string) registry.Resource {
	return registry.Resource{Kind: registry.Thread, ID: id}
}

func clients() map[string]*http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{}},
		"HTTP/2.0": {Transport: &http.Transport{Protocols: h2}},
	}
}

func TestAWatchTellsTheContract(t *testing.T) {
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			s := watching(t, api.Options{})
			s.own(t, "t_ann", "one", "two", "three")
			s.own(t, "t_bob", "bobs")
			w := s.watch(t, client, "t_ann thread one", "t_ann thread missing", "t_ann thread two", "t_ann thread bobs",
				"t_bob thread bobs", "t_ann canvas one", "t_ann thread three")
			require.Equal(t, 200, w.StatusCode)
			require.Equal(t, protocol, w.Proto)
			require.Equal(t, "text/event-stream", w.Header.Get("Content-Type"))
			require.Equal(t, "no-store", w.Header.Get("Cache-Control"))
			require.Equal(t, "no", w.Header.Get("X-Accel-Buffering"))

			require.Equal(t, []int{1, 3, 5}, w.next(t, "state").Refused, "missing, foreign, and of another kind")
			first := w.next(t, "certified")
			require.EqualValues(t, staleness.Milliseconds(), first.Most)
			require.LessOrEqual(t, *first.Age, staleness.Milliseconds())

			s.move(t, "t_ann", "t_eve", thread("two"))
			require.Equal(t, []int{2}, w.next(t, "lost", "certified").Resources)
			s.move(t, "t_ann", "t_eve", registry.Resource{})
			require.Equal(t, []int{0, 6}, w.next(t, "lost", "certified").Resources, "many at once are one event")

			s.move(t, "t_eve", "t_ann", registry.Resource{})
			s.move(t, "t_ann", "t_eve", thread("one"))
			s.move(t, "t_bob", "t_eve", thread("bobs"))
			require.Equal(t, []int{4}, w.next(t, "lost", "certified").Resources, "what is lost is not watched any more, though it came back")
			w.next(t, "certified")
		})
	}
}
