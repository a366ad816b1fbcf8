//go:build proofs

package simulation_test

import (
	"flag"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/simulation"
)

func TestProofOfConvergenceByAMillionCases(t *testing.T) {
	const cases = 1_000_000
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(cases)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	ran := 0
	met := map[string]int{}
	check := convergence(t, met)
	rapid.Check(t, func(t *rapid.T) { ran++; check(t) })
	requireAllMet(t, met)
	t.Logf("%d cases, seed %s", ran, flag.Lookup("rapid.seed").Value)
	require.GreaterOrEqual(t, ran, cases, "near the time limit fewer are tried, and pass")
}

func TestProofBySimulationOfManySeeds(t *testing.T) {
	const many = 50_000
	for name, throttle := range worlds {
		t.Run(name, func(t *testing.T) { runSeeds(t, throttle, 1, many) })
	}
}

func TestProofThatTheSimulationNoticesARuleThatIsLeftOut(t *testing.T) {
	requireNoticed(t, map[string]left{
		"the feed condition":                    {simulation.Rules{Feed: true}, 1},
		"the overlap of the feed's cursor":      {simulation.Rules{Overlap: true}, 1},
		"one job at a time, and a fresh ledger": {simulation.Rules{Order: true, Fresh: true}, 1},
		"the last pass":                         {simulation.Rules{LastPass: true}, 1},
		"the deadline of a commit":              {simulation.Rules{Deadline: true}, 1},
	})
}
