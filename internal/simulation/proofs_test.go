//go:build proofs

package simulation_test

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/simulation"
)

func TestProofOfConvergenceByAMillionCases(t *testing.T) {
	met := map[string]int{}
	checkMany(t, 1_000_000, convergence(t, met))
	requireAllMet(t, met)
}

func TestProofThatRetractingIsExactByManyCases(t *testing.T) {
	checkMany(t, 100_000, retraction(t, map[string]int{}))
}

// checkMany tries a property so many times, whatever the flags say.
func checkMany(t *testing.T, cases int, check func(*rapid.T)) {
	before := flag.Lookup("rapid.checks").Value.String()
	require.NoError(t, flag.Set("rapid.checks", strconv.Itoa(cases)))
	defer func() { require.NoError(t, flag.Set("rapid.checks", before)) }()
	ran := 0
	rapid.Check(t, func(t *rapid.T) { ran++; check(t) })
	t.Logf("%d cases, seed %s", ran, flag.Lookup("rapid.seed").Value)
	require.GreaterOrEqual(t, ran, cases, "near the time limit fewer are tried, and pass")
}

// The worlds run beside one another, each in a process of its own: a run has its
// process for itself.
func TestProofBySimulationOfManySeeds(t *testing.T) {
	const many = "50000"
	for name := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=1h", "-test.run=RulesHold/"+name, "-simulation.seeds="+many).CombinedOutput()
			t.Logf("%s", out)
			require.NoError(t, err)
		})
	}
}

func TestProofThatTheSimulationNoticesARuleThatIsLeftOut(t *testing.T) {
	requireNoticed(t, map[string]left{
		"the last pass": {simulation.Rules{LastPass: true}, 2_100, nil},
	})
}
