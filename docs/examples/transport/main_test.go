package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// client is a browser's EventSource, as far as the test needs it.
type client struct {
	t      *testing.T
	url    string
	tenant string
	lastID string
}

// connect returns the status and the first n messages; then the connection is
// lost.
func (c *client) connect(n int) (status int, messages []string) {
	c.t.Helper()
	ctx, lose := context.WithTimeout(c.t.Context(), time.Minute)
	defer lose()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	require.NoError(c.t, err)
	r.Header.Set("X-Authenticated-Tenant", c.tenant)
	if c.lastID != "" {
		r.Header.Set("Last-Event-ID", c.lastID)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode, nil
	}
	for lines := bufio.NewScanner(answer.Body); len(messages) < n && lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			c.lastID = id
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			messages = append(messages, text)
		}
	}
	return answer.StatusCode, messages
}

// lockedBuffer is a log that may be read while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func TestConnectResumeAndRefusalAfterAMove(t *testing.T) {
	store := memregistry.New()
	var log lockedBuffer
	reader := sdkmetric.NewManualReader()
	numbered := func(_ context.Context, thread string, after int) (string, error) {
		return fmt.Sprintf("%s #%d", thread, after+1), nil
	}
	handler, err := transport(store, verifier.Options{
		Logger:        slog.New(slog.NewTextHandler(&log, nil)),
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}, numbered)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	acme := &client{t: t, url: server.URL + "/threads/th_1/events", tenant: "t_acme"}
	globex := &client{t: t, url: acme.url, tenant: "t_globex"}

	status, _ := acme.connect(1)
	require.Equal(t, http.StatusNotFound, status, "nobody owns it yet")
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_acme", "th_1"))

	status, got := acme.connect(2)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"th_1 #1", "th_1 #2"}, got)
	status, got = acme.connect(2)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"th_1 #3", "th_1 #4"}, got, "it resumes after the last one that it has")
	status, _ = globex.connect(1)
	require.Equal(t, http.StatusNotFound, status)

	// Everything that acme owns goes to globex.
	outcomes := store.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_acme", To: "t_globex",
		Version: ownership.Version{Time: time.Now().Add(time.Minute), Source: "nexus", ID: "1"},
	}}})
	require.Equal(t, ownership.Applied, outcomes[0].Kind)
	status, _ = acme.connect(1)
	require.Equal(t, http.StatusNotFound, status, "the resume is verified again")
	status, got = globex.connect(1)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"th_1 #1"}, got)

	// What it left in the telemetry.
	for _, line := range []string{
		"tenant_id=t_acme resource=thread/th_1 cause=unregistered",
		"tenant_id=t_globex resource=thread/th_1 cause=foreign",
		"tenant_id=t_acme resource=thread/th_1 cause=moved_away",
	} {
		require.Contains(t, log.String(), line)
	}
	require.Equal(t, map[string]int64{"unregistered": 1, "foreign": 1, "moved_away": 1}, counted(t, reader, "registry.verifier.refusals", "cause"))
}

func TestAnOpenStreamEndsWhenItsTenantLosesTheThread(t *testing.T) {
	store := memregistry.New()
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_acme", "th_1"))
	begun := make(chan struct{})
	once := func(ctx context.Context, _ string, after int) (string, error) {
		if after > 0 {
			close(begun)
			<-ctx.Done()
		}
		return "hello", ctx.Err()
	}
	reader := sdkmetric.NewManualReader()
	handler, err := transport(store, verifier.Options{
		MaxStaleness: time.Second, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}, once)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	go func() {
		<-begun
		store.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
			Type: ownership.Moved, From: "t_acme", To: "t_globex",
			Version: ownership.Version{Time: time.Now().Add(time.Minute), Source: "nexus", ID: "1"},
		}}})
	}()
	acme := &client{t: t, url: server.URL + "/threads/th_1/events", tenant: "t_acme"}
	status, got := acme.connect(2)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"hello", "ownership_lost"}, got, "the last event says why")
	status, _ = acme.connect(1)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, map[string]int64{"ownership_lost": 1}, counted(t, reader, "registry.middleware.streams.ended", "reason"))
}

func TestARequestWithoutOneTenantIsToldWhatIsMissing(t *testing.T) {
	handler, err := transport(memregistry.New(), verifier.Options{}, clock)
	require.NoError(t, err)
	for _, tenants := range [][]string{nil, {""}, {"t_acme", "t_globex"}, {"t_acme", "t_acme"}, {"t_acme, t_globex"}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/threads/th_1/events", nil)
		r.Header["X-Authenticated-Tenant"] = tenants
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		require.Equal(t, http.StatusBadRequest, answer.Code, "%q", tenants)
	}
}

func TestALastEventIDThatIsNoneOfOursIsRefused(t *testing.T) {
	store := memregistry.New()
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_acme", "th_1"))
	first := func(_ context.Context, _ string, after int) (string, error) {
		if after > 41 {
			return "", io.EOF
		}
		return fmt.Sprint("after ", after), nil
	}
	handler, err := transport(store, verifier.Options{}, first)
	require.NoError(t, err)
	for id, status := range map[string]int{
		"": 200, "0": 200, "41": 200, "2147483647": 200,
		"-1": 400, "2147483648": 400, "9223372036854775807": 400, "99999999999999999999": 400, "+1": 400, "1.0": 400, "0x1": 400, "x": 400, " 1": 400,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/threads/th_1/events", nil)
		r.Header["X-Authenticated-Tenant"], r.Header["Last-Event-Id"] = []string{"t_acme"}, []string{id}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		require.Equal(t, status, answer.Code, "%q", id)
		if id == "41" {
			require.Equal(t, "id: 42\ndata: after 41\n\n", answer.Body.String())
		}
		query := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/threads/th_1/events?"+url.Values{"lastEventId": {id}}.Encode(), nil)
		query.Header["X-Authenticated-Tenant"] = []string{"t_acme"}
		same := httptest.NewRecorder()
		handler.ServeHTTP(same, query)
		require.Equal(t, answer, same, "%q in the query", id)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/threads/th_1/events", nil)
	r.Header["X-Authenticated-Tenant"], r.Header["Last-Event-Id"] = []string{"t_acme"}, []string{"1", "2"}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	require.Equal(t, http.StatusBadRequest, answer.Code)
}

// The server's bounds are for requests; a stream goes on after them.
func TestTheServersTimeoutsEndNoStream(t *testing.T) {
	store := memregistry.New()
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_acme", "th_1"))
	messages := make(chan string)
	handler, err := transport(store, verifier.Options{}, func(ctx context.Context, _ string, _ int) (string, error) {
		select {
		case text := <-messages:
			return text, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(handler)
	bounds := server("", handler)
	require.NotZero(t, bounds.ReadHeaderTimeout)
	require.NotZero(t, bounds.ReadTimeout)
	require.NotZero(t, bounds.IdleTimeout)
	require.Zero(t, bounds.WriteTimeout, "it would be a stream's longest life")
	s.Config.ReadHeaderTimeout, s.Config.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond // the same, sooner
	s.Start()
	defer s.Close()
	go func() {
		messages <- "first"
		time.Sleep(300 * time.Millisecond) // longer than the bounds, which is the test
		messages <- "second"
	}()
	acme := &client{t: t, url: s.URL + "/threads/th_1/events", tenant: "t_acme"}
	status, got := acme.connect(2)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"first", "second"}, got)
}

// counted is a counter of the middleware or the verifier, by one attribute.
func counted(t *testing.T, reader *sdkmetric.ManualReader, name, by string) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if metric.Name != name {
				continue
			}
			for _, p := range metric.Data.(metricdata.Sum[int64]).DataPoints {
				if value, _ := p.Attributes.Value(attribute.Key(by)); p.Value > 0 {
					counts[value.AsString()] = p.Value
				}
			}
		}
	}
	return counts
}
