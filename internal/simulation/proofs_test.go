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
	var all simulation.Trouble
	for seed := uint64(1); seed <= many; seed++ {
		trouble, err := simulation.Run(t, seed, simulation.Rules{})
		require.NoError(t, err)
		all.Add(trouble)
	}
	t.Logf("seeds 1 to %d: %+v", many, all)
	require.Empty(t, all.Missing())
}
