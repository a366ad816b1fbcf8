package simulation_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/simulation"
)

var (
	seeds = flag.Uint64("simulation.seeds", 300, "how many seeds to run")
	first = flag.Uint64("simulation.first", 1, "the first of them")
)

func TestWhateverTheSchedulerDoesTheRegistryEndsAsTheReferenceSays(t *testing.T) {
	var all simulation.Trouble
	for seed := *first; seed < *first+*seeds; seed++ {
		trouble, err := simulation.Run(t, seed, simulation.Rules{})
		require.NoError(t, err)
		all.Add(trouble)
	}
	t.Logf("seeds %d to %d: %+v", *first, *first+*seeds-1, all)
	require.Empty(t, all.Missing(), "the scheduler must meet every kind of trouble")
}

func TestASeedReproducesItsRun(t *testing.T) {
	for seed := range uint64(5) {
		one, err := simulation.Run(t, seed, simulation.Rules{})
		require.NoError(t, err)
		two, err := simulation.Run(t, seed, simulation.Rules{})
		require.NoError(t, err)
		require.Equal(t, one.WithoutReaders(), two.WithoutReaders())
	}
}

// Each search begins a little before the seed at which it ended when this was
// written, and goes on if the code has changed what seeds do.
func TestTheSimulationNoticesARuleThatIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		rules simulation.Rules
		from  uint64
	}{
		"the feed condition":                    {simulation.Rules{Feed: true}, 4_640},
		"the overlap of the feed's cursor":      {simulation.Rules{Overlap: true}, 950},
		"the notice of a claim that joins":      {simulation.Rules{ClaimFeed: true}, 310},
		"the path rule, in the query":           {simulation.Rules{PathQuery: true}, 1},
		"the path rule, in what is rewritten":   {simulation.Rules{PathWrite: true}, 30},
		"one job at a time, and a fresh ledger": {simulation.Rules{Order: true, Fresh: true}, 8_040},
		"the last pass":                         {simulation.Rules{LastPass: true}, 1_715},
		"the deadline of a commit":              {simulation.Rules{Deadline: true}, 1_330},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := c.from; seed < c.from+20_000; seed++ {
				if _, err := simulation.Run(t, seed, c.rules); err != nil {
					t.Logf("noticed: %v", err)
					_, err := simulation.Run(t, seed, simulation.Rules{})
					require.NoError(t, err, "with all rules the same seed ends well")
					return
				}
			}
			t.Error("20,000 seeds have not noticed")
		})
	}
}

// Jobs in any order, at the same time, do no harm as long as every document is
// folded with a fresh ledger; one at a time, in order, none with the ledger that
// the job began with (docs/moves.md).
func TestEitherOneJobAtATimeOrAFreshLedgerIsEnough(t *testing.T) {
	for name, rules := range map[string]simulation.Rules{"order left out": {Order: true}, "fresh ledger left out": {Fresh: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := *first; seed < *first+*seeds/3; seed++ {
				_, err := simulation.Run(t, seed, rules)
				require.NoError(t, err)
			}
		})
	}
}
