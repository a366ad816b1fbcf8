package consumer

import (
	"bytes"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// What was applied, or refused, and an operator should see all the same.
func TestWhatChangesHandsUnexpectedlyIsCountedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long, soon := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		moved := func(at time.Time) *ownership.Move {
			return &ownership.Move{To: "t_new", Version: ownership.Version{Time: at, Source: "//n", ID: "the-move"}}
		}
		lost := &ownership.Entry{Type: ownership.Created, Tenant: "t_lost", Version: ownership.Version{ID: "lost"}}
		s := each(func(c ownership.Change) ownership.Outcome {
			switch c.Resource.ID {
			case "displaces":
				return ownership.Outcome{Kind: ownership.Applied, Displaced: lost}
			case "again":
				return ownership.Outcome{Kind: ownership.Duplicate, Displaced: lost, BornMoved: moved(long)}
			case "born":
				return ownership.Outcome{Kind: ownership.Applied, BornMoved: moved(long)}
			case "moved-later":
				return ownership.Outcome{Kind: ownership.Applied, BornMoved: moved(soon)}
			case "full":
				return ownership.Outcome{Kind: ownership.HistoryFull, WouldCount: true}
			case "defect":
				return ownership.Outcome{Kind: ownership.Failed, Err: &ownership.PanicError{Value: "nil map", Stack: []byte("goroutine 7")}}
			}
			return applied(c)
		})
		reader, log := sdkmetric.NewManualReader(), &bytes.Buffer{}
		l := newLine()
		_, stop := running(t, s, l, Options{
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		backdated, onTime := tenantMoved("t_a", "t_b"), tenantMoved("t_c", "t_d")
		backdated.Attributes["ce-time"] = long.UTC().Format(time.RFC3339Nano)
		for _, m := range []Message{backdated, onTime} {
			m.Subscription = "nexus-tenant-moved.realtime-registry"
			l.send(m).wait()
		}
		for _, thread := range []string{"displaces", "again", "born", "moved-later", "full", "defect", "th_1"} {
			l.send(created("t_a", thread)).wait()
		}
		synctest.Wait()
		for _, metric := range []string{"registry.displaced", "registry.history_full.would_count", "registry.born_moved", "registry.moves.backdated"} {
			require.Equal(t, map[string]int64{"": 1}, counts(t, reader, metric), metric)
		}
		for _, line := range []string{
			`level=ERROR msg="an event took the place of one that had been acknowledged`, `displaced="created by t_lost`,
			`level=ERROR msg="a move that would have changed the owner was refused`,
			`level=WARN msg="what was created belongs to another tenant from the first`, "move_id=the-move",
			`level=WARN msg="a move of a whole tenant counts from long before its publication`,
			`level=ERROR msg="a handler panicked`, `panic="nil map" stack_trace="goroutine 7"`,
		} {
			require.Contains(t, log.String(), line)
		}
		require.NoError(t, stop())
	})
}

// A message whose other changes fail for too long is nacked. What was applied of
// it is a duplicate when it comes again, so it must be told of before; what was
// refused is refused again.
func TestWhatAMessageDisplacedIsToldOfAlthoughTheMessageIsNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		s := each(func(c ownership.Change) ownership.Outcome {
			lost := &ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_lost"}
			switch {
			case c.Resource.ID == "full":
				return ownership.Outcome{Kind: ownership.HistoryFull, WouldCount: true}
			case c.Resource.ID == "down" && failing.Load():
				return down(c)
			case c.Resource.ID == "displaces" && failing.Load():
				return ownership.Outcome{Kind: ownership.Applied, Displaced: lost}
			case c.Resource.ID == "displaces":
				return ownership.Outcome{Kind: ownership.Duplicate, Displaced: lost}
			}
			return applied(c)
		})
		reader := sdkmetric.NewManualReader()
		l := newLine()
		_, stop := running(t, s, l, Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
		move := message(string(events.TenantMovedType), `{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[
			{"kind":"thread","id":"displaces"},{"kind":"thread","id":"full"},{"kind":"thread","id":"down"}]}`)
		require.False(t, l.send(move).wait(), "nacked")
		failing.Store(false)
		require.True(t, l.send(move).wait(), "acked behind its dead letter")
		synctest.Wait()
		for _, metric := range []string{"registry.displaced", "registry.history_full.would_count"} {
			require.Equal(t, map[string]int64{"": 1}, counts(t, reader, metric), metric)
		}
		require.NoError(t, stop())
	})
}
