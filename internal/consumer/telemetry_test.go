package consumer

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	logging "github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// counts reads a counter, by the values of its labels joined by a slash.
func counts(t *testing.T, reader sdkmetric.Reader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	got := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name != name {
				continue
			}
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				var values []string
				for _, label := range p.Attributes.ToSlice() {
					values = append(values, label.Value.AsString())
				}
				if p.Value != 0 {
					got[strings.Join(values, "/")] = p.Value
				}
			}
		}
	}
	return got
}

func TestEveryMessageIsCountedByTypeAndOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c ownership.Change) ownership.Outcome {
			switch c.Resource.ID {
			case "dup":
				return ownership.Outcome{Kind: ownership.Duplicate}
			case "taken":
				return ownership.Outcome{Kind: ownership.Conflict}
			case "late":
				return ownership.Outcome{Kind: ownership.Applied, Displaced: &ownership.Entry{Type: ownership.Created, Tenant: "t_b"}}
			case "down":
				return down(c)
			}
			return applied(c)
		})
		reader := sdkmetric.NewManualReader()
		l := newLine()
		_, stop := running(t, s, l, Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
		for _, m := range []Message{
			created("t_a", "th_1"), created("t_a", "th_2"), created("t_a", "dup"), created("t_a", "taken"),
			created("t_a", "late"), created("t_a", "down"), created("BAD", "th_3"), {Data: []byte("?")},
		} {
			l.send(m).wait()
		}
		synctest.Wait()
		require.Equal(t, map[string]int64{
			"nexus.thread.created.v1/applied":          3,
			"nexus.thread.created.v1/duplicate":        1,
			"nexus.thread.created.v1/refused/conflict": 1,
			"nexus.thread.created.v1/refused/schema":   1,
			"nexus.thread.created.v1/transient":        1,
			"unknown/refused/malformed":                1,
		}, counts(t, reader, "registry.events"))
		require.Equal(t, map[string]int64{"": 1}, counts(t, reader, "registry.displaced"))
		require.Equal(t, map[string]int64{"conflict": 1, "schema": 1, "malformed": 1}, counts(t, reader, "registry.dead_letters"))
		require.NoError(t, stop())
	})
}

func TestAMessagesSpanLinksToItsPublishersAndGoesDownToTheStore(t *testing.T) {
	const (
		ours    = "00-11111111111111111111111111111111-2222222222222222-01"
		googles = "00-33333333333333333333333333333333-4444444444444444-01"
	)
	for name, c := range map[string]struct {
		attributes map[string]string
		trace      string
	}{
		"ce-traceparent":           {map[string]string{"ce-traceparent": ours, "googclient_traceparent": googles}, strings.Repeat("1", 32)},
		"else Google's client's":   {map[string]string{"googclient_traceparent": googles}, strings.Repeat("3", 32)},
		"names compare by no case": {map[string]string{"CE-TraceParent": ours}, strings.Repeat("1", 32)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := tracetest.NewSpanRecorder()
				tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
				s := each(applied)
				inner := s.apply
				s.apply = func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
					_, span := tracers.Tracer("store").Start(ctx, "commit")
					defer span.End()
					return inner(ctx, changes)
				}
				l := newLine()
				running(t, s, l, Options{TracerProvider: tracers})
				m := created("t_a", "th_1")
				for k, v := range c.attributes {
					m.Attributes[k] = v
				}
				require.True(t, l.send(m).wait())
				synctest.Wait()

				spans := recorder.Ended()
				require.Len(t, spans, 3)
				commit, apply, process := spans[0], spans[1], spans[2]
				require.Equal(t, "process", process.Name())
				require.False(t, process.Parent().IsValid(), "a trace of its own")
				require.Equal(t, c.trace, process.Links()[0].SpanContext.TraceID().String())
				require.Equal(t, process.SpanContext().SpanID(), apply.Parent().SpanID())
				require.Equal(t, apply.SpanContext().SpanID(), commit.Parent().SpanID())
			})
		})
	}
}

func TestARefusedMessagesSpanLinksToItsPublishersToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		l := newLine()
		running(t, each(applied), l, Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))})
		l.send(Message{Data: []byte("?"), Attributes: map[string]string{
			"ce-traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
		}}).wait()
		synctest.Wait()
		require.Len(t, recorder.Ended(), 1)
		require.Equal(t, strings.Repeat("1", 32), recorder.Ended()[0].Links()[0].SpanContext.TraceID().String())
	})
}

// Else anybody who may publish could have the worker record everything, or nothing of
// what they do.
func TestNoPublisherDecidesWhatIsSampled(t *testing.T) {
	for name, c := range map[string]struct {
		sampler sdktrace.Sampler
		flags   string
		spans   int
	}{
		"nothing is sampled, and the publisher's is":       {sdktrace.NeverSample(), "01", 0},
		"everything is sampled, and the publisher's isn't": {sdktrace.AlwaysSample(), "00", 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				recorder := tracetest.NewSpanRecorder()
				l := newLine()
				running(t, each(applied), l, Options{TracerProvider: sdktrace.NewTracerProvider(
					sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.ParentBased(c.sampler)))})
				m := created("t_a", "th_1")
				m.Attributes["ce-traceparent"] = "00-11111111111111111111111111111111-2222222222222222-" + c.flags
				require.True(t, l.send(m).wait())
				synctest.Wait()
				require.Len(t, recorder.Ended(), c.spans)
			})
		})
	}
}

func TestWhereNothingIsTracedTheLogHasThePublishersTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLine()
		running(t, each(applied), l, Options{TracerProvider: nooptrace.NewTracerProvider(), Logger: logging.NewLogger(&out, logging.LogOptions{Format: logging.JSON})})
		l.send(Message{Data: []byte("?"), Attributes: map[string]string{
			"ce-traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
		}}).wait()
		synctest.Wait()
		require.Contains(t, out.String(), strings.Repeat("1", 32))
	})
}

func TestABatchsSpanLinksToThoseOfItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		l := newLine()
		receipts := []*receipt{l.send(created("t_a", "th_1")), l.send(created("t_a", "th_2")), l.send(created("t_a", "th_3"))}
		s := each(applied)
		inner := s.apply
		s.apply = func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			time.Sleep(time.Millisecond)
			return inner(ctx, changes)
		}
		running(t, s, l, Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))})
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		synctest.Wait()
		for _, span := range recorder.Ended() {
			if span.Name() == "apply" && !span.Parent().IsValid() {
				require.Greater(t, len(span.Links()), 1)
				return
			}
		}
		t.Fatal("no batch")
	})
}

// An increase sees the first dead letter only if there was a 0 before it.
func TestCountersOfMessagesAndDeadLettersStartAt0(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	_, err := New(each(applied), newLine(), Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	require.NoError(t, err)
	series := map[string]int{}
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				series[m.Name] = len(sum.DataPoints)
			}
		}
	}
	letters := len(envelope.Reasons())
	require.Equal(t, map[string]int{
		"registry.events":                   (len(events.PublishedTypes()) + 1) * (5 + letters), // types and unknown, and outcomes of which refused has reasons
		"registry.dead_letters":             letters,
		"registry.dead_letter.failures":     letters,
		"registry.apply.retries":            1,
		"registry.displaced":                1,
		"registry.history_full.would_count": 1,
		"registry.born_moved":               1,
		"registry.moves.backdated":          1,
	}, series)
}
