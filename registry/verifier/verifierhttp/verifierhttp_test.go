package verifierhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// down is a verifier whose store does not answer.
type down struct{}

func (down) Verify(context.Context, string, registry.Resource) error {
	return fmt.Errorf("verify: %w: timed out", registry.ErrUnavailable)
}

// transport is a handler behind the middleware that says when it was reached.
func transport(t *testing.T, v verifierhttp.Verifier, o verifierhttp.Options) http.Handler {
	t.Helper()
	o.Tenant = func(r *http.Request) string { return r.Header.Get("Test-Tenant") }
	o.Resource = func(r *http.Request) registry.Resource {
		return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
	}
	protect, err := verifierhttp.New(v, o)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("GET /threads/{thread}/events", protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "streamed")
	})))
	return mux
}

func get(h http.Handler, tenant, thread string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/threads/"+thread+"/events", nil)
	r.Header.Set("Test-Tenant", tenant)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func ownedByAnn(t *testing.T, options verifier.Options) *verifier.Verifier {
	t.Helper()
	store := memregistry.New()
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_ann", "th_1"))
	v, err := verifier.New(store, options)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

func TestOnlyTheOwnerReachesTheHandler(t *testing.T) {
	h := transport(t, ownedByAnn(t, verifier.Options{}), verifierhttp.Options{})
	require.Equal(t, "streamed", get(h, "t_ann", "th_1").Body.String())
	for _, c := range []struct {
		tenant, thread string
		status         int
	}{
		{"t_bob", "th_1", 404}, {"t_ann", "th_2", 404}, {"", "th_1", 400}, {"T", "th_1", 400}, {"t_ann", "..%2F", 400},
	} {
		answer := get(h, c.tenant, c.thread)
		require.Equal(t, c.status, answer.Code, "%+v", c)
		require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
		require.NotContains(t, answer.Body.String(), "streamed")
	}
}

func TestMissingAndForeignAreTheSameBytes(t *testing.T) {
	for name, options := range map[string]verifier.Options{"": {}, "owner in memory": {MaxStaleness: time.Minute}} {
		t.Run(name, func(t *testing.T) {
			v := ownedByAnn(t, options)
			h := transport(t, v, verifierhttp.Options{})
			if options.MaxStaleness > 0 {
				require.Eventually(t, func() bool {
					return !isClosed(v.Watch(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th_1"}))
				}, 10*time.Second, time.Millisecond)
			}
			require.Equal(t, http.StatusOK, get(h, "t_ann", "th_1").Code) // which keeps it
			missing, foreign := get(h, "t_bob", "th_2"), get(h, "t_bob", "th_1")
			require.Equal(t, http.StatusNotFound, missing.Code)
			require.Equal(t, missing.Code, foreign.Code)
			require.Equal(t, missing.Body.Bytes(), foreign.Body.Bytes())
			require.Equal(t, missing.Header(), foreign.Header())
		})
	}
}

func TestAStoreThatIsDownIsAskedAgainLater(t *testing.T) {
	answer := get(transport(t, down{}, verifierhttp.Options{}), "t_ann", "th_1")
	require.Equal(t, 503, answer.Code)
	require.NotEmpty(t, answer.Header().Get("Retry-After"))
}

func TestReportOnlyLetsEverythingPassAndReportsIt(t *testing.T) {
	var log bytes.Buffer
	reader := sdkmetric.NewManualReader()
	o := verifierhttp.Options{
		ReportOnly:    true,
		Logger:        slog.New(slog.NewTextHandler(&log, nil)),
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}
	h := transport(t, ownedByAnn(t, verifier.Options{}), o)
	require.Contains(t, log.String(), "nothing is protected")
	for _, c := range [][2]string{{"t_ann", "th_1"}, {"t_bob", "th_1"}, {"t_ann", "th_2"}, {"", "th_1"}} {
		require.Equal(t, "streamed", get(h, c[0], c[1]).Body.String())
	}
	require.Equal(t, "streamed", get(transport(t, down{}, o), "t_ann", "th_1").Body.String())
	require.Contains(t, log.String(), "tenant_id=t_bob resource=thread/th_1 outcome=refused")
	require.Contains(t, log.String(), "outcome=unavailable")

	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]int64{}
	for _, p := range data.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints {
		outcome, _ := p.Attributes.Value("outcome")
		counts[outcome.AsString()] = p.Value
	}
	require.Equal(t, map[string]int64{"refused": 2, "invalid": 1, "unavailable": 1}, counts)
}

func TestEveryFaultOfTheOptionsIsReportedAtOnce(t *testing.T) {
	_, err := verifierhttp.New(down{}, verifierhttp.Options{ReportOnly: true})
	require.ErrorContains(t, err, "Tenant")
	require.ErrorContains(t, err, "Resource")
	require.ErrorContains(t, err, "ReportOnly")
}
