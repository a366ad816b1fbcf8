package simulation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/simulation"
)

// left is a rule that is left out, a seed a little before one at which that was noticed
// ten times of ten when this was written, and the shapes of plans. The search goes on if the
// code has changed what seeds do.
type left struct {
	rules simulation.Rules
	from  uint64
	with  []string
}

var (
	deaf = []string{simulation.Deaf}
	slow = []string{simulation.Slow, simulation.Deaf}
)

// Those that take longer are in `make proofs`.
func TestTheSimulationNoticesARuleThatIsLeftOut(t *testing.T) {
	requireNoticed(t, map[string]left{
		"the feed condition":                  {simulation.Rules{Feed: true}, 1340, deaf},
		"the overlap of the feed's cursor":    {simulation.Rules{Overlap: true}, 290, slow},
		"the deadline of a commit":            {simulation.Rules{Deadline: true}, 950, slow},
		"the notice of a claim that joins":    {simulation.Rules{ClaimFeed: true}, 315, deaf},
		"the path rule, in the query":         {simulation.Rules{PathQuery: true}, 1, nil},
		"the path rule, in what is rewritten": {simulation.Rules{PathWrite: true}, 1, nil},
		"the epoch of the ledger":             {simulation.Rules{Epoch: true}, 1, []string{simulation.Restored}},
		"a fresh ledger for each job":         {simulation.Rules{Fresh: true}, 70, nil},
	})
}

func requireNoticed(t *testing.T, rules map[string]left) {
	for name, c := range rules {
		t.Run(name, func(t *testing.T) {
			for seed := c.from; seed < c.from+20_000; seed++ {
				if _, err := simulation.Run(t, simulation.Plan{Seed: seed, With: c.with, Rules: c.rules}); err != nil {
					t.Logf("noticed: %v", err)
					_, err := simulation.Run(t, simulation.Plan{Seed: seed, With: c.with})
					require.NoError(t, err, "with all rules the same seed ends well")
					return
				}
			}
			t.Error("20,000 seeds have not noticed")
		})
	}
}

// Workers that all think that they have the lease do the same twice, and no harm
// (docs/moves.md).
func TestDocumentsAreRightWithoutTheLease(t *testing.T) {
	for seed := *first; seed < *first+*seeds/3; seed++ {
		_, err := simulation.Run(t, simulation.Plan{Seed: seed, Rules: simulation.Rules{Lease: true}})
		requireHolds(t, err)
	}
}
