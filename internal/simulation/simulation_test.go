package simulation_test

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/simulation"
)

var (
	seeds    = flag.Uint64("simulation.seeds", 300, "how many seeds to run of each world")
	first    = flag.Uint64("simulation.first", 1, "the first of them")
	with     = flag.String("simulation.with", "", "the shapes of their plans, by comma")
	onePlan  = flag.String("simulation.plan", "", "the plan that TestOnePlan runs, as a failure prints it")
	shrinkIn = flag.Duration("simulation.shrink", 30*time.Second, "how long to make a plan that fails smaller")
)

// worlds are what there is to simulate: whether it is the throttle's.
var worlds = map[string]bool{"registry": false, "throttle": true}

func TestWhateverTheSchedulerDoesTheRulesHold(t *testing.T) {
	for name, throttle := range worlds {
		t.Run(name, func(t *testing.T) { runSeeds(t, simulation.Plan{Throttle: throttle, With: shapes(t)}, *first, *seeds) })
	}
}

func TestTheRulesHoldInEveryShape(t *testing.T) {
	for _, shape := range simulation.Shapes {
		t.Run(shape, func(t *testing.T) {
			runSeeds(t, simulation.Plan{With: []string{shape, simulation.Deaf}}, *first, max(1, *seeds/20))
		})
	}
}

// shapes are those of the flag.
func shapes(t *testing.T) (all []string) {
	if *with != "" {
		all = strings.Split(*with, ",")
		require.Subset(t, simulation.Shapes, all)
	}
	return all
}

func runSeeds(t *testing.T, plan simulation.Plan, first, seeds uint64) {
	all := simulation.Trouble{}
	began := time.Now()
	for seed := first; seed < first+seeds; seed++ {
		plan.Seed = seed
		met, err := simulation.Run(t, plan)
		requireHolds(t, err)
		all.Add(met)
	}
	t.Logf("seeds %d to %d in %v: %v", first, first+seeds-1, time.Since(began).Round(time.Second), all)
	if len(plan.With) == 0 {
		require.Empty(t, all.Missing(plan.Throttle), "the scheduler must meet every kind of trouble")
	}
}

// requireHolds ends the test with the smallest plan that fails, if one does.
func requireHolds(t *testing.T, err error) {
	t.Helper()
	var failure *simulation.Failure
	if errors.As(err, &failure) {
		t.Logf("%v fails (%v); making it smaller", failure.Plan, failure.Err)
		t.Fatal(simulation.Shrink(t, failure, *shrinkIn))
	}
	require.NoError(t, err)
}

// TestOnePlan runs one plan again, some times if it ends well, and says what it has
// done:
//
//	go test ./internal/simulation -run TestOnePlan -v -simulation.plan 'registry:17'
func TestOnePlan(t *testing.T) {
	if *onePlan == "" {
		t.Skip("no -simulation.plan")
	}
	plan, err := simulation.ParsePlan(*onePlan)
	require.NoError(t, err)
	var steps []string
	plan.Trace = func(step string) { steps = append(steps, step) }
	for range 20 {
		steps = nil
		met, err := simulation.Run(t, plan)
		if err != nil {
			t.Log("done, by seconds:\n" + strings.Join(steps, "\n"))
			t.Fatal(err)
		}
		t.Logf("ends well; met: %v", met)
	}
}

// Where goroutines of one process meet, the runtime says who comes first, and on a
// busy machine it may say so otherwise. What readers do is for chances of package
// verifier to say too, and nobody else is the wiser. (When a throttle looks at a
// block that lies idle is for a hash to say: plans of its world repeat nearly.)
func TestAPlanReproducesItsRun(t *testing.T) {
	for seed := range uint64(5) {
		one, again := steps(t, seed), steps(t, seed)
		for range 20 {
			if slices.Equal(one, again) {
				break
			}
			one, again = again, steps(t, seed)
		}
		require.Equal(t, one, again)
	}
}

// steps are those of all but readers.
func steps(t *testing.T, seed uint64) (steps []string) {
	_, err := simulation.Run(t, simulation.Plan{Seed: seed, Trace: func(step string) {
		if !strings.Contains(step, " reader-") {
			steps = append(steps, step)
		}
	}})
	require.NoError(t, err)
	require.NotEmpty(t, steps)
	return steps
}

func TestAPlanIsReadAsItIsWritten(t *testing.T) {
	for _, plan := range []simulation.Plan{
		{Seed: 17},
		{Throttle: true, Seed: 1, Schedule: 2, Steps: 30, Without: []string{"e1", "worker 2", simulation.Kills}},
		{Seed: 3, With: []string{simulation.Late, simulation.Deaf}},
	} {
		read, err := simulation.ParsePlan(plan.String())
		require.NoError(t, err)
		require.Equal(t, plan, read)
	}
	for _, text := range []string{"", "registry", "registry:x", "verifier:1", "registry:1;steps:many"} {
		_, err := simulation.ParsePlan(text)
		require.ErrorContains(t, err, text)
	}
}
