package regstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// calls counts the calls of the store, by operation and outcome.
func calls(t *testing.T, reader sdkmetric.Reader) map[string]uint64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	counts := map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != "registry.store.duration" {
				continue
			}
			for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
				operation, _ := p.Attributes.Value("operation")
				outcome, _ := p.Attributes.Value("outcome")
				counts[operation.AsString()+" "+outcome.AsString()] = p.Count
			}
		}
	}
	return counts
}

func TestWhatAClientAsksForInVainIsNoFailureOfTheStore(t *testing.T) {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	store, err := regstore.Open(t.Context(), memdb.New(time.Now), regstore.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), TracerProvider: tracers,
	})
	require.NoError(t, err)
	thread := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	ctx, request := tracers.Tracer("test").Start(t.Context(), "PUT")
	_, err = store.Claim(ctx, "t_ann", thread)
	require.NoError(t, err)
	_, err = store.Claim(ctx, "t_bob", thread)
	require.ErrorIs(t, err, registry.ErrConflict)
	gone, leave := context.WithCancel(ctx)
	leave()
	_, err = store.Read(gone, []registry.Resource{thread})
	require.Error(t, err)
	request.End()

	counts := calls(t, reader)
	require.EqualValues(t, 1, counts["claim ok"])
	require.EqualValues(t, 1, counts["claim refused"])
	require.EqualValues(t, 1, counts["read abandoned"])
	require.NotContains(t, counts, "claim error")
	outcomes := map[string]int{}
	for _, span := range spans.Ended()[:len(spans.Ended())-1] {
		require.Equal(t, codes.Unset, span.Status().Code, span.Name())
		for _, a := range span.Attributes() {
			if a.Key == attribute.Key("registry.outcome") {
				outcomes[span.Name()+" "+a.Value.AsString()]++
			}
		}
	}
	require.Equal(t, map[string]int{"registry.store.claim ok": 1, "registry.store.claim refused": 1, "registry.store.read abandoned": 1, "registry.store.read ok": 2},
		outcomes, "the reads are those of the claims")
}

func TestPollsOutsideOfATraceAreMeasuredAndMakeNone(t *testing.T) {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	store, err := regstore.Open(t.Context(), memdb.New(time.Now), regstore.Options{
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
	})
	require.NoError(t, err)
	_, err = store.Read(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, spans.Ended())
	require.EqualValues(t, 1, calls(t, reader)["read ok"])
}
