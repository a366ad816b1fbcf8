package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/console"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// soon is long enough for whatever has to happen.
const soon = time.Minute

// looks answers what the test says.
type looks struct {
	inspect func(registry.Resource) (any, error)
	letters func() (any, error)
	pending atomic.Int64 // how often it was read
	err     error
}

func (l *looks) Inspect(_ context.Context, r registry.Resource) (any, error) {
	if l.inspect == nil {
		return map[string]any{"kind": r.Kind, "id": r.ID, "owner": ""}, l.err
	}
	return l.inspect(r)
}

func (l *looks) Moves(context.Context, string) (any, error) {
	return map[string]any{"moves": []any{}, "position": 0}, l.err
}

func (l *looks) Move(_ context.Context, name ownership.EventName) (any, error) {
	return map[string]any{"moves": []any{map[string]any{"id": name.ID, "source": name.Source, "from": "t_a", "to": "t_b", "rewriting": map[string]any{"state": "done"}}}}, l.err
}

func (l *looks) Pending(context.Context) (any, error) {
	l.pending.Add(1)
	return []any{}, l.err
}

func (l *looks) Windows(context.Context, string) (any, error) {
	return map[string]any{"windows": []any{}}, errors.New("windows are away")
}

func (l *looks) DeadLetters(context.Context) (any, error) { return l.letters() }

// process is the metrics of one process.
type process struct {
	*prometheus.Registry
	events *prometheus.CounterVec
	lag    prometheus.Histogram
}

func newProcess(instance string) *process {
	p := &process{
		Registry: prometheus.NewRegistry(),
		events:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "registry_events_total"}, []string{"event_type", "outcome", "reason"}),
		lag:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "registry_message_lag_seconds", Buckets: []float64{1, 2, 4}}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "target_info"}, []string{"service_instance_id"})
	info.WithLabelValues(instance).Set(1)
	p.MustRegister(p.events, p.lag, info)
	return p
}

func (p *process) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"detail":"no stream is connected"}`)
	})
	return mux
}

// serve serves a console alone, without what package api puts before it.
func serve(t *testing.T, o console.Options) *httptest.Server {
	t.Helper()
	c, err := console.New(o)
	require.NoError(t, err)
	mux := http.NewServeMux()
	for _, r := range c.Routes() {
		mux.HandleFunc("GET "+r.Pattern, r.Serve)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server
}

// follow calls take with each sample, until it says that it is enough.
func follow(t *testing.T, server *httptest.Server, enough func(console.Sample) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/console/api/live", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		var s console.Sample
		require.NoError(t, json.Unmarshal([]byte(text), &s))
		if enough(s) {
			return
		}
	}
	t.Fatalf("the stream has ended: %v", lines.Err())
}

func count(s console.Sample, counter, name string) console.Count {
	for _, c := range s.Counts[counter] {
		if c.Name == name {
			return c
		}
	}
	return console.Count{}
}

func TestASampleAddsUpAllProcessesInSight(t *testing.T) {
	self, worker := newProcess("a"), newProcess("b")
	self.events.WithLabelValues("nexus.thread.created.v1", "applied", "").Add(3)
	worker.events.WithLabelValues("nexus.canvas.created.v1", "applied", "").Add(4)
	worker.events.WithLabelValues("unknown", "refused", "malformed").Add(5)
	peer := httptest.NewServer(worker.handler())
	defer peer.Close()
	server := serve(t, console.Options{Name: "API", Look: &looks{}, Gatherer: self, Peers: []string{peer.URL, "http://127.0.0.1:1"}, Every: 10 * time.Millisecond,
		Worker: func(context.Context) error { return errors.New("it begins") }})
	samples := 0
	follow(t, server, func(s console.Sample) bool {
		if samples++; samples == 1 {
			require.Len(t, s.Processes, 3)
			require.True(t, s.Processes[0].Self)
			require.Equal(t, "it begins", s.Processes[0].Why)
			require.Equal(t, "no stream is connected", s.Processes[1].Why, "a peer says itself why it is not ready")
			require.Contains(t, s.Processes[2].Error, "does not answer")
			require.EqualValues(t, 7, count(s, "events_by_outcome", "applied").Total)
			require.Nil(t, count(s, "events_by_outcome", "applied").Rate, "one sample has no rates")
			require.EqualValues(t, 5, count(s, "events_refused", "malformed").Total)
			require.Empty(t, s.Durations)
			worker.events.WithLabelValues("nexus.canvas.created.v1", "applied", "").Add(1)
			for range 99 {
				worker.lag.Observe(1.5)
			}
			self.lag.Observe(100)
		}
		if count(s, "events_by_outcome", "applied").Total != 8 || s.Durations["message_lag"].Count != 100 {
			return false
		}
		q := s.Durations["message_lag"]
		require.InDelta(t, 1.5, q.P50, .01)
		require.InDelta(t, 2, q.P99, .01)
		return true
	})
}

func TestAProcessThatStartedAnewBeginsAnew(t *testing.T) {
	var worker atomic.Pointer[process]
	first := newProcess("first")
	first.events.WithLabelValues("x", "applied", "").Add(1000)
	worker.Store(first)
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { worker.Load().handler().ServeHTTP(w, r) }))
	defer peer.Close()
	server := serve(t, console.Options{Look: &looks{}, Gatherer: prometheus.NewRegistry(), Peers: []string{peer.URL}, Every: 5 * time.Millisecond})
	again := false
	follow(t, server, func(s console.Sample) bool {
		c := count(s, "events_by_outcome", "applied")
		if c.Rate != nil {
			require.GreaterOrEqual(t, *c.Rate, 0.0)
		}
		if !again && c.Rate != nil {
			again = true
			second := newProcess("second")
			second.events.WithLabelValues("x", "applied", "").Add(2000)
			worker.Store(second)
		}
		if c.Total == 2000 {
			require.Nil(t, c.Rate, "2000 were not applied since the last sample")
		}
		return c.Total == 2000
	})
}

// What costs reads is read while somebody looks, and no more often for many than for
// one.
func TestNothingIsReadWhileNobodyLooks(t *testing.T) {
	look := &looks{}
	server := serve(t, console.Options{Look: look, Gatherer: newProcess("a"), Every: time.Millisecond})
	require.Zero(t, look.pending.Load())
	for range 2 {
		samples := 0
		follow(t, server, func(console.Sample) bool { samples++; return samples == 20 })
	}
	require.LessOrEqual(t, look.pending.Load(), int64(2), "one read for each that looked, though there were 40 samples")
}

func TestNoMorePagesAreLiveThanMay(t *testing.T) {
	server := serve(t, console.Options{Look: &looks{}, Gatherer: newProcess("a")})
	for i := range console.MaxOpen + 1 {
		answer, err := http.Get(server.URL + "/console/api/live")
		require.NoError(t, err)
		defer answer.Body.Close()
		want := http.StatusOK
		if i == console.MaxOpen {
			want = http.StatusServiceUnavailable
		}
		require.Equal(t, want, answer.StatusCode)
	}
}

func get(t *testing.T, server *httptest.Server, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	server.Config.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	look := &looks{letters: func() (any, error) { return nil, console.ErrNoDeadLetters }}
	server := serve(t, console.Options{Look: look, Gatherer: newProcess("a")})
	for path, want := range map[string]int{
		"/console/api/resources/thread/th_1":  http.StatusOK,
		"/console/api/resources/video/th_1":   http.StatusBadRequest,
		"/console/api/resources/thread/th%20": http.StatusBadRequest,
		"/console/api/tenants/acme":           http.StatusBadRequest,
		"/console/api/dead-letters":           http.StatusNotImplemented,
		"/console/assets/nothing.js":          http.StatusNotFound,
		"/console/assets/..%2Fdoc.go":         http.StatusNotFound,
	} {
		status, body := get(t, server, path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	status, body := get(t, server, "/console/api/tenants/t_acme")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"moves":{`, "that windows are away hides no moves")
	require.Contains(t, body, "windows are away")
	look.err = fmt.Errorf("%w: the store is at https://user:pa55@host", registry.ErrUnavailable)
	status, body = get(t, server, "/console/api/moves")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotContains(t, body, "pa55")
}

func TestDeadLettersAreLeasedOnceForAllWhoLookAtOneTime(t *testing.T) {
	looked := 0
	look := &looks{letters: func() (any, error) { looked++; return map[string]any{"letters": []any{}}, nil }}
	server := serve(t, console.Options{Look: look, Gatherer: newProcess("a")})
	for range 3 {
		status, _ := get(t, server, "/console/api/dead-letters")
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, 1, looked)
}

// Every file has the policy, and nothing that it forbids.
func TestThePageKeepsItsOwnPolicy(t *testing.T) {
	server := serve(t, console.Options{Look: &looks{}, Gatherer: newProcess("a")})
	for _, path := range []string{"/console", "/console/assets/main.js", "/console/assets/console.css", "/console/assets/icon.svg"} {
		answer, err := http.Get(server.URL + path)
		require.NoError(t, err)
		answer.Body.Close()
		policy := answer.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			require.Contains(t, policy, part, path)
		}
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "no-referrer", answer.Header.Get("Referrer-Policy"))
	}
	_, page := get(t, server, "/console")
	for _, never := range []string{"<script>", "style=", " onclick", "http://", "https://"} {
		require.NotContains(t, page, never)
	}
	for _, file := range []string{"main.js", "dom.js", "api.js", "look.js", "moves.js", "overview.js"} {
		_, script := get(t, server, "/console/assets/"+file)
		for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage", "document.cookie"} {
			require.NotContains(t, script, never, file)
		}
	}
}
