package simulation_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Retracting moves leaves what would be there had they never come, byte for
// byte, whatever was claimed meanwhile, and with moves that never had an effect:
// documents, and what is displaced in them.
func TestRetractingIsExactWithClaimsAndIdleMovesAmongTheEvents(t *testing.T) {
	met := map[string]int{}
	rapid.Check(t, retraction(t, met))
	for _, what := range []string{"claim 201", "claim 204", "claim 409", "moved inapplicable", "moved displaced"} {
		require.NotZero(t, met[what], what)
	}
}

func retraction(t *testing.T, met map[string]int) func(*rapid.T) {
	return func(rt *rapid.T) { inBubble(t, func() { retractsExactly(rt, met) }) }
}

func retractsExactly(t *rapid.T, met map[string]int) {
	drawn := rapid.SliceOfN(events(), 1, 8).Draw(t, "events")
	all := slices.DeleteFunc(drawn, func(e event) bool { return e.Retract != "" || len(e.Changes) > 2 }) // room is taken by what counts
	var mistakes []event
	for n := range rapid.IntRange(1, 3).Draw(t, "mistakes") {
		e := events().Filter(func(e event) bool { return len(e.Changes) == 1 && e.Changes[0].Resource == (registry.Resource{}) }).Draw(t, "mistake")
		e.Changes[0].Entry.ID = fmt.Sprint("mistake", n)
		mistakes = append(mistakes, e)
	}
	steps := rapid.Permutation(append(slices.Clone(all), mistakes...)).Draw(t, "steps")

	with, without := newRun(t), newRun(t)
	with.met = met
	for _, e := range steps {
		time.Sleep(time.Second)
		with.deliver(t, with.workers[0], []event{e})
		if e.Claim == "" && !slices.ContainsFunc(mistakes, func(m event) bool { return m.Changes[0] == e.Changes[0] }) {
			without.deliver(t, without.workers[0], []event{e})
		}
		for _, c := range with.claims { // those answered yes, as given
			without.deliver(t, without.workers[0], []event{{Changes: []ownership.Change{c}}})
		}
		with.claims = nil
	}
	for _, e := range mistakes {
		with.deliver(t, with.workers[1], []event{{Retract: e.Changes[0].Entry.ID}})
	}
	with.rewrite(t)
	without.rewrite(t)
	require.Equal(t, without.documents(t), with.documents(t))
}

// documents is what each document holds except times and positions.
func (r *run) documents(t *rapid.T) (all []string) {
	err := r.store.Export(context.Background(), func(d ownership.Record, l *ownership.Ledger) error {
		all = append(all, fmt.Sprintf("%s: %s, path %v, history %v, displaced %v", d.Document, d.TenantID, d.Path, d.History, d.Displaced))
		return nil
	})
	require.NoError(t, err)
	return all
}
