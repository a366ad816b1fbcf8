package verifier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestARefusalIsAnEventOnTheSpanOfItsCheck(t *testing.T) {
	store := memregistry.New()
	claim(t, store, "t_ann", thread("th_1"))
	spans := tracetest.NewSpanRecorder()
	v := newVerifier(t, store, verifier.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	require.Error(t, v.VerifyThreadAccess(t.Context(), "t_bob", "th_1"))
	ended := spans.Ended()
	require.Len(t, ended, 2)
	read, check := ended[0], ended[1]
	require.Equal(t, "registry.verifier.read", read.Name())
	require.Equal(t, "registry.verify", check.Name())
	require.Equal(t, check.SpanContext().SpanID(), read.Parent().SpanID())
	require.Len(t, check.Events(), 1)
	require.Equal(t, "registry.refused", check.Events()[0].Name)
	require.ElementsMatch(t, []attribute.KeyValue{
		attribute.String("registry.tenant_id", "t_bob"), attribute.String("registry.resource", "thread/th_1"), attribute.String("registry.cause", "foreign"),
	}, check.Events()[0].Attributes)
}

// A trace is looked for by the thread that somebody asks about.
func TestEachCheckOfATraceIsFoundByItsResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memregistry.New()
		claim(t, store, "t_ann", thread("th_1"))
		spans := tracetest.NewSpanRecorder()
		tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		v := newVerifier(t, store, verifier.Options{TracerProvider: tracers, MaxStaleness: 2 * time.Second})
		time.Sleep(3 * time.Second) // there is a certificate
		ctx, request := tracers.Tracer("test").Start(t.Context(), "GET")
		for range 2 {
			require.NoError(t, v.VerifyThreadAccess(ctx, "t_ann", "th_1"))
		}
		request.End()
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
		found := map[bool]int{} // by whether memory answered
		for _, span := range spans.Ended() {
			attributes := map[attribute.Key]attribute.Value{}
			for _, a := range span.Attributes() {
				attributes[a.Key] = a.Value
			}
			require.NotEqual(t, "registry.store.changes", span.Name(), "the certifier's reads make no traces")
			if span.Name() != "registry.verify" {
				continue
			}
			require.Equal(t, request.SpanContext().TraceID(), span.SpanContext().TraceID())
			require.Equal(t, "thread/th_1", attributes["registry.resource"].AsString())
			require.Equal(t, "t_ann", attributes["registry.tenant_id"].AsString())
			require.Equal(t, "allowed", attributes["registry.outcome"].AsString())
			found[attributes["registry.from_memory"].AsBool()]++
		}
		require.Equal(t, map[bool]int{false: 1, true: 1}, found, "and none of a check from memory that nobody traces")
	})
}
