package simulation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/internal/simulation"
	"github.com/northstar-engines/realtime-registry/registry"
)

// event is one event, the retraction of one, or a claim.
type event struct {
	Changes []ownership.Change
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
	if entry.Type == ownership.Moved {
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
	return registry.Resource{Kind: registry.Kinds()[n%2], ID: fmt.Sprint(n / 2)}
}

// began is when the clock of a bubble begins: claims come after it, events before
// it and after it.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

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
		entry := ownership.Entry{Version: ownership.Version{
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
				return flood(r, entry, rapid.IntRange(ownership.MaxIdleMoves-2, ownership.MaxIdleMoves+2).Draw(t, "moves"))
			}
			return event{Changes: []ownership.Change{{Resource: r, Entry: ownership.ClaimEntry(tenants().Draw(t, "tenant"), r, entry.Time)}}}
		case kind < 4:
			entry.Type, entry.Tenant = ownership.Created, tenants().Draw(t, "tenant")
		case kind == 4:
			entry.Type, entry.Tenant = ownership.Asserted, tenants().Draw(t, "tenant")
			entry.Source, entry.ID = "", ""
		default:
			entry.Type, entry.From = ownership.Moved, tenants().Draw(t, "from")
			entry.To = tenants().Filter(func(to string) bool { return to != entry.From }).Draw(t, "to")
			if kind > 6 {
				return event{Changes: []ownership.Change{{Entry: entry}}}
			}
			count = rapid.IntRange(1, 2).Draw(t, "resources")
		}
		var e event
		first := rapid.IntRange(0, 2).Draw(t, "resource")
		for i := range count {
			e.Changes = append(e.Changes, ownership.Change{Resource: resource((first + i) % 3), Entry: entry})
		}
		return e
	})
}

// flood is many moves of one resource, by somebody whose it is not, or soon not.
func flood(r registry.Resource, entry ownership.Entry, moves int) (e event) {
	entry.Type, entry.From, entry.To = ownership.Moved, "t_x", "t_y"
	for i := range moves {
		entry.ID = fmt.Sprint("flood", i)
		e.Changes = append(e.Changes, ownership.Change{Resource: r, Entry: entry})
	}
	return e
}

// convergence delivers random events in any order, some of them again, in
// batches, to workers of which each knows the ledger of up to 5 s ago, rewrites,
// and holds what is left against the reference, which takes the claims that were
// answered yes as given, and is not told of moves for which there was no room.
func convergence(t *testing.T, met map[string]int) func(*rapid.T) {
	return func(rt *rapid.T) { inBubble(t, func() { converges(rt, met) }) }
}

func converges(t *rapid.T, met map[string]int) {
	all := rapid.SliceOfN(events(), 1, 10).Draw(t, "events")
	again := rapid.SliceOfN(rapid.SampledFrom(all), 0, 4).Draw(t, "delivered again")
	deliveries := rapid.Permutation(append(again, all...)).Draw(t, "deliveries")

	r := newRun(t)
	r.met = met
	for len(deliveries) > 0 {
		n := rapid.IntRange(1, min(3, len(deliveries))).Draw(t, "batch")
		worker := r.workers[rapid.IntRange(0, 2).Draw(t, "worker")]
		time.Sleep(time.Duration(rapid.IntRange(0, 4).Draw(t, "seconds")) * time.Second)
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
			ref.Add(ownership.Retraction(ownership.Version{Source: "//nexus", ID: e.Retract}, "", ""))
		}
	}
	ref.Add(r.claims...)
	require.NoError(t, simulation.Compare(r.store, &ref))
}

// With -rapid.checks, or RAPID_CHECKS, another number of cases; with the tag
// proofs a million.
func TestAnyOrderDuplicationAndSplitOverWorkersEndsAsTheReferenceSays(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, convergence(t, met))
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
