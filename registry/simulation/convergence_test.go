package simulation_test

import (
	"context"
	"fmt"
	"slices"
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

// event is one event, the retraction of one, or a claim.
type event struct {
	Changes []registry.Change
	Retract string // id of a move that is taken back; "" for events
	Claim   string // tenant that claims Resource; "" for events
	registry.Resource
}

// GoString is the event as a failing case prints it.
func (e event) GoString() string {
	if e.Retract != "" {
		return "retract " + e.Retract
	}
	if e.Claim != "" {
		return fmt.Sprintf("%s claims %s", e.Claim, e.Resource)
	}
	entry := e.Changes[0].Entry
	text := fmt.Sprintf("%s %q at %d.%d:", entry.Type, entry.ID, entry.Time.Unix(), entry.Time.Nanosecond())
	if entry.Type == registry.Moved {
		text += fmt.Sprintf(" %s → %s", entry.From, entry.To)
	} else {
		text += " " + entry.Tenant
	}
	for _, c := range e.Changes[:min(2, len(e.Changes))] {
		if c.Resource != (registry.Resource{}) {
			text += " " + c.Resource.String()
		}
	}
	if len(e.Changes) > 2 {
		text += fmt.Sprintf(", %d moves", len(e.Changes))
	}
	return text
}

func tenants() *rapid.Generator[string] { return rapid.SampledFrom([]string{"t_a", "t_b", "t_c"}) }

func resource(n int) registry.Resource {
	return registry.Resource{Kind: registry.Kinds[n%2], ID: fmt.Sprint(n / 2)}
}

// began is when the store's clock begins: claims come after it, events before
// it and after it.
var began = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// events draws creations, conflicting ones too, moves of resources and tenants,
// plain sets and claims as archives have them, claims that are answered,
// retractions, and now and then more moves without effect than are kept. Ids are
// few, so that some come twice with different content.
func events() *rapid.Generator[event] {
	return rapid.Custom(func(t *rapid.T) event {
		kind := rapid.IntRange(0, 12).Draw(t, "kind")
		id := fmt.Sprint("e", rapid.IntRange(1, 8).Draw(t, "id"))
		if kind == 9 {
			return event{Retract: id}
		}
		if kind > 10 {
			return event{Claim: tenants().Draw(t, "tenant"), Resource: resource(rapid.IntRange(0, 2).Draw(t, "resource"))}
		}
		entry := registry.Entry{Version: registry.Version{
			Time:   time.Unix(rapid.Int64Range(1, 6).Draw(t, "second"), rapid.Int64Range(0, 1).Draw(t, "nanosecond")).UTC(),
			Source: "//nexus", ID: id,
		}}
		if rapid.IntRange(0, 2).Draw(t, "late") == 0 {
			entry.Time = began.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "later")) * time.Second)
		}
		count := 1
		switch {
		case kind == 10:
			r := resource(rapid.IntRange(0, 2).Draw(t, "resource"))
			if rapid.IntRange(0, 9).Draw(t, "flood") == 0 {
				return flood(r, entry, rapid.IntRange(registry.MaxIdleMoves-2, registry.MaxIdleMoves+2).Draw(t, "moves"))
			}
			return event{Changes: []registry.Change{{Resource: r, Entry: registry.ClaimEntry(tenants().Draw(t, "tenant"), r, entry.Time)}}}
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

// flood is many moves of one resource, by somebody whose it is not, or soon not.
func flood(r registry.Resource, entry registry.Entry, moves int) (e event) {
	entry.Type, entry.From, entry.To = registry.Moved, "t_x", "t_y"
	for i := range moves {
		entry.ID = fmt.Sprint("flood", i)
		e.Changes = append(e.Changes, registry.Change{Resource: r, Entry: entry})
	}
	return e
}

// run is one registry with its workers.
type run struct {
	now     time.Time
	store   *memory.Store
	workers []*memory.Store
	met     map[string]int
	refused map[registry.Change]bool // for want of room, once at least
	claims  []registry.Change        // those that were answered yes
}

func newRun() *run {
	r := &run{now: began, met: map[string]int{}, refused: map[registry.Change]bool{}}
	r.store = memory.NewAt(func() time.Time { return r.now })
	for range 3 {
		r.workers = append(r.workers, r.store.Open(memory.Options{LedgerStaleness: 5 * time.Second, CommitDeadline: 10 * time.Second}))
	}
	return r
}

// convergence delivers random events in any order, some of them again, in
// batches, to workers of which each knows the ledger of up to 5 s ago, rewrites,
// and holds what is left against the reference, which takes the claims that were
// answered yes as given, and is not told of moves for which there was no room.
func convergence(met map[string]int) func(t *rapid.T) {
	return func(t *rapid.T) {
		all := rapid.SliceOfN(events(), 1, 10).Draw(t, "events")
		again := rapid.SliceOfN(rapid.SampledFrom(all), 0, 4).Draw(t, "delivered again")
		deliveries := rapid.Permutation(append(again, all...)).Draw(t, "deliveries")

		r := newRun()
		r.met = met
		for len(deliveries) > 0 {
			n := rapid.IntRange(1, min(3, len(deliveries))).Draw(t, "batch")
			worker := r.workers[rapid.IntRange(0, 2).Draw(t, "worker")]
			r.now = r.now.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "seconds")) * time.Second)
			r.deliver(t, worker, deliveries[:n])
			deliveries = deliveries[n:]
		}
		r.rewrite(t)

		var ref reference.Registry
		for _, e := range all {
			for _, c := range e.Changes {
				if !r.refused[c] || r.history(t, c.Resource).Has(c.Entry) {
					ref.Add(c)
				}
			}
			if e.Retract != "" {
				ref.Retract("//nexus", e.Retract)
			}
		}
		ref.Add(r.claims...)
		require.NoError(t, simulation.Compare(r.store, &ref))
	}
}

func (r *run) rewrite(t *rapid.T) {
	rewriter, err := rewrite.New(r.workers[0], rewrite.Options{
		Holder: "rewriter", Rate: governor.Unlimited, Now: func() time.Time { return r.now },
		Sleep: func(_ context.Context, d time.Duration) error { r.now = r.now.Add(d); return nil },
	})
	require.NoError(t, err)
	for err == nil {
		err = rewriter.RunNext(context.Background())
	}
	require.ErrorIs(t, err, registry.ErrNoJob)
}

func (r *run) deliver(t *rapid.T, worker *memory.Store, batch []event) {
	var changes []registry.Change
	for _, e := range batch {
		changes = append(changes, e.Changes...)
		if e.Retract != "" {
			o := worker.Retract(context.Background(), registry.Retraction{Source: "//nexus", ID: e.Retract, At: time.Unix(9, 0)})
			require.NoError(t, o.Err)
		}
		if e.Claim != "" {
			r.claim(t, worker, e)
		}
	}
	for i, o := range worker.Apply(context.Background(), changes) {
		require.NotEqual(t, registry.Failed, o.Kind, o.Err)
		c := changes[i]
		r.met[string(c.Entry.Type)+" "+string(o.Kind)]++
		if o.Displaced != nil && o.Kind != registry.Duplicate {
			r.met[string(c.Entry.Type)+" displaced"]++
		}
		if o.Kind == registry.HistoryFull {
			r.refused[c] = true
		}
	}
}

func (r *run) claim(t *rapid.T, worker *memory.Store, e event) {
	before := r.history(t, e.Resource)
	created, err := worker.Claim(context.Background(), e.Claim, e.Resource)
	switch {
	case err != nil:
		require.ErrorIs(t, err, registry.ErrConflict)
		r.met["claim 409"]++
	case !created:
		r.met["claim 204"]++
		require.True(t, before.Equal(r.history(t, e.Resource)), "it stores nothing")
	default:
		r.met["claim 201"]++
		if len(before) > 0 {
			r.met["claim 201 beside moves"]++
		}
		kept, ok := r.history(t, e.Resource).Claimed()
		require.True(t, ok)
		require.Equal(t, e.Claim, kept.Tenant)
		r.claims = append(r.claims, registry.Change{Resource: e.Resource, Entry: kept})
	}
}

func (r *run) history(t *rapid.T, resource registry.Resource) registry.History {
	if resource == (registry.Resource{}) {
		return nil
	}
	snapshot, err := r.store.Read(context.Background(), []registry.Resource{resource})
	require.NoError(t, err)
	return snapshot.Records[0].History
}

// With -rapid.checks, or RAPID_CHECKS, another number of cases; with the tag
// proofs a million.
func TestAnyOrderDuplicationAndSplitOverWorkersEndsAsTheReferenceSays(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, convergence(met))
	requireAllMet(t, met)
}

// requireAllMet holds that every rule had something to do.
func requireAllMet(t *testing.T, met map[string]int) {
	t.Helper()
	t.Logf("met: %v", met)
	for _, what := range []string{
		"claim 201", "claim 201 beside moves", "claim 204", "claim 409", "claimed applied", "claimed conflict", "claimed displaced",
		"created duplicate", "created conflict", "created displaced", "moved conflict", "moved displaced", "moved history_full", "moved inapplicable",
	} {
		require.NotZero(t, met[what], what)
	}
}

// Retracting moves leaves what would be there had they never come, byte for
// byte, whatever was claimed meanwhile, and with moves that never had an effect:
// documents, and what is displaced in them.
func TestRetractingIsExactWithClaimsAndIdleMovesAmongTheEvents(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(events(), 1, 8).Draw(t, "events")
		all := slices.DeleteFunc(drawn, func(e event) bool { return e.Retract != "" || len(e.Changes) > 2 }) // room is taken by what counts
		var mistakes []event
		for n := range rapid.IntRange(1, 3).Draw(t, "mistakes") {
			e := events().Filter(func(e event) bool { return len(e.Changes) == 1 && e.Changes[0].Resource == (registry.Resource{}) }).Draw(t, "mistake")
			e.Changes[0].Entry.ID = fmt.Sprint("mistake", n)
			mistakes = append(mistakes, e)
		}
		steps := rapid.Permutation(append(slices.Clone(all), mistakes...)).Draw(t, "steps")

		with, without := newRun(), newRun()
		with.met = met
		for _, e := range steps {
			with.now = with.now.Add(time.Second)
			with.deliver(t, with.workers[0], []event{e})
			if e.Claim == "" && !slices.ContainsFunc(mistakes, func(m event) bool { return m.Changes[0] == e.Changes[0] }) {
				without.deliver(t, without.workers[0], []event{e})
			}
			for _, c := range with.claims { // those answered yes, as given
				without.deliver(t, without.workers[0], []event{{Changes: []registry.Change{c}}})
			}
			with.claims = nil
		}
		for _, e := range mistakes {
			with.deliver(t, with.workers[1], []event{{Retract: e.Changes[0].Entry.ID}})
		}
		with.rewrite(t)
		without.rewrite(t)
		require.Equal(t, without.documents(t), with.documents(t))
	})
	for _, what := range []string{"claim 201", "claim 204", "claim 409", "moved inapplicable", "moved displaced"} {
		require.NotZero(t, met[what], what)
	}
}

// documents is what each document holds but for times and positions.
func (r *run) documents(t *rapid.T) (all []string) {
	err := r.store.Export(context.Background(), func(d registry.Record, l *registry.Ledger) error {
		all = append(all, fmt.Sprintf("%s: %s, path %v, history %v, displaced %v", d.Document, d.TenantID, d.Path, d.History, d.Displaced))
		return nil
	})
	require.NoError(t, err)
	return all
}
