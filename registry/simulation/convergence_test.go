package simulation_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
	"github.com/northstar-engines/realtime-registry/registry/simulation"
)

// event is one event, or the retraction of one.
type event struct {
	Changes []registry.Change
	Retract string // id of a move that is taken back; "" for events
}

// GoString is the event as a failing case prints it.
func (e event) GoString() string {
	if e.Retract != "" {
		return "retract " + e.Retract
	}
	entry := e.Changes[0].Entry
	text := fmt.Sprintf("%s %q at %d.%d:", entry.Type, entry.ID, entry.Time.Unix(), entry.Time.Nanosecond())
	if entry.Type == registry.Moved {
		text += fmt.Sprintf(" %s → %s", entry.From, entry.To)
	} else {
		text += " " + entry.Tenant
	}
	for _, c := range e.Changes {
		if c.Resource != (registry.Resource{}) {
			text += " " + c.Resource.String()
		}
	}
	return text
}

func tenants() *rapid.Generator[string] { return rapid.SampledFrom([]string{"t_a", "t_b", "t_c"}) }

func resource(n int) registry.Resource {
	return registry.Resource{Kind: registry.Kinds[n%2], ID: fmt.Sprint(n / 2)}
}

// events draws creations, conflicting ones too, moves of resources and tenants,
// plain sets as archives have them, and retractions. Ids are few, so that some
// come twice with different content.
func events() *rapid.Generator[event] {
	return rapid.Custom(func(t *rapid.T) event {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		id := fmt.Sprint("e", rapid.IntRange(1, 8).Draw(t, "id"))
		if kind == 9 {
			return event{Retract: id}
		}
		entry := registry.Entry{Version: registry.Version{
			Time:   time.Unix(rapid.Int64Range(1, 6).Draw(t, "second"), rapid.Int64Range(0, 1).Draw(t, "nanosecond")).UTC(),
			Source: "//nexus", ID: id,
		}}
		count := 1
		switch {
		case kind < 4:
			entry.Type, entry.Tenant = registry.Created, tenants().Draw(t, "tenant")
		case kind == 4:
			entry.Type, entry.Tenant = registry.Asserted, tenants().Draw(t, "tenant")
			entry.Source, entry.ID = "", ""
		default:
			entry.Type, entry.From = registry.Moved, tenants().Draw(t, "from")
			entry.To = tenants().Filter(func(to string) bool { return to != entry.From }).Draw(t, "to")
			if kind > 6 {
				return event{Changes: []registry.Change{{Entry: entry}}}
			}
			count = rapid.IntRange(1, 2).Draw(t, "resources")
		}
		var e event
		first := rapid.IntRange(0, 2).Draw(t, "resource")
		for i := range count {
			e.Changes = append(e.Changes, registry.Change{Resource: resource((first + i) % 3), Entry: entry})
		}
		return e
	})
}

// convergence delivers random events in any order, some of them again, in
// batches, to workers of which each knows the ledger of up to 5 s ago, rewrites,
// and holds what is left against the reference.
func convergence(t *rapid.T) {
	all := rapid.SliceOfN(events(), 1, 10).Draw(t, "events")
	again := rapid.SliceOfN(rapid.SampledFrom(all), 0, 4).Draw(t, "delivered again")
	deliveries := rapid.Permutation(append(again, all...)).Draw(t, "deliveries")

	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	store := memory.NewAt(func() time.Time { return now })
	var workers []*memory.Store
	for range 3 {
		workers = append(workers, store.Open(memory.Options{LedgerStaleness: 5 * time.Second, CommitDeadline: 10 * time.Second}))
	}
	for len(deliveries) > 0 {
		n := rapid.IntRange(1, min(3, len(deliveries))).Draw(t, "batch")
		worker := workers[rapid.IntRange(0, 2).Draw(t, "worker")]
		now = now.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "seconds")) * time.Second)
		deliver(t, worker, deliveries[:n])
		deliveries = deliveries[n:]
	}

	rewriter, err := rewrite.New(workers[0], rewrite.Options{
		Holder: "rewriter", Rate: governor.Unlimited, Now: func() time.Time { return now },
		Sleep: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
	})
	require.NoError(t, err)
	for err == nil {
		err = rewriter.RunNext(context.Background())
	}
	require.ErrorIs(t, err, registry.ErrNoJob)

	var ref reference.Registry
	for _, e := range all {
		ref.Add(e.Changes...)
		if e.Retract != "" {
			ref.Retract("//nexus", e.Retract)
		}
	}
	require.NoError(t, simulation.Compare(store, &ref))
}

func deliver(t *rapid.T, worker *memory.Store, batch []event) {
	var changes []registry.Change
	for _, e := range batch {
		changes = append(changes, e.Changes...)
		if e.Retract != "" {
			o := worker.Retract(context.Background(), registry.Retraction{Source: "//nexus", ID: e.Retract, At: time.Unix(9, 0)})
			require.NoError(t, o.Err)
		}
	}
	for _, o := range worker.Apply(context.Background(), changes) {
		require.NotEqual(t, registry.Failed, o.Kind, o.Err)
	}
}

// With -rapid.checks, or RAPID_CHECKS, another number of cases; with the tag
// proofs a million.
func TestAnyOrderDuplicationAndSplitOverWorkersEndsAsTheReferenceSays(t *testing.T) {
	rapid.Check(t, convergence)
}
