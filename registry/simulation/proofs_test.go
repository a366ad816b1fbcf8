//go:build proofs

package simulation_test

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/registry/internal/omit"
	"github.com/northstar-engines/realtime-registry/registry/simulation"
)

func TestProofOfConvergenceByAMillionCases(t *testing.T) {
	const cases = "1000000"
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", cases))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	rapid.Check(t, convergence)
}

func TestProofBySimulationOfManySeeds(t *testing.T) {
	const many = 50_000
	var all simulation.Trouble
	for seed := uint64(1); seed <= many; seed++ {
		trouble, err := simulation.Run(seed, omit.Rules{})
		require.NoError(t, err)
		all.Add(trouble)
	}
	t.Logf("seeds 1 to %d: %+v", many, all)
	require.Empty(t, all.Missing())
}
