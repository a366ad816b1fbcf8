package regstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func ledgerChanges(run string, n int) []ownership.LedgerChange {
	changes := make([]ownership.LedgerChange, n)
	for i := range changes {
		changes[i].Event = ownership.EventName{Source: "s", ID: fmt.Sprint(run, i)}
	}
	return changes
}

// One move after the other, each when the one before is done, and many at once.
func TestTheHeadIsWrittenAboutOnceASecondHoweverManyMovesThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commits, moves := 0, 0
		l := newLedgerLane(ledgerRate, rand.Float64, func(changes []*queuedChange) ([]*queuedChange, bool) {
			time.Sleep(60 * time.Millisecond) // three round trips
			commits++
			moves += len(changes)
			for _, c := range changes {
				c.settle(ownership.Outcome{Kind: ownership.Applied})
			}
			return nil, true
		})
		began := time.Now()
		var all sync.WaitGroup
		for w := range 300 {
			all.Go(func() {
				for time.Since(began) < time.Minute {
					require.Equal(t, ownership.Applied, l.change(t.Context(), ledgerChanges(fmt.Sprint(w, "-"), 1))[0].Kind)
				}
			})
		}
		all.Wait()
		require.LessOrEqual(t, commits, 60+ledgerBurst+2)
		require.Greater(t, moves, 200*commits, "hundreds in each")
	})
}

func TestALostRaceWaitsLongerEachTimeAndTakesWithItWhatHasComeMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Time
		var sizes []int
		l := newLedgerLane(1000, rand.Float64, func(changes []*queuedChange) ([]*queuedChange, bool) {
			starts, sizes = append(starts, time.Now()), append(sizes, len(changes))
			if len(starts) <= 6 {
				return changes, true
			}
			for _, c := range changes {
				c.settle(ownership.Outcome{Kind: ownership.Applied})
			}
			return nil, true
		})
		var all sync.WaitGroup
		all.Go(func() { l.change(context.Background(), ledgerChanges("first", 3)) })
		time.Sleep(time.Millisecond)
		all.Go(func() { l.change(context.Background(), ledgerChanges("second", 4)) })
		all.Wait()
		require.Equal(t, []int{3, 7, 7, 7, 7, 7, 7}, sizes)
		require.Greater(t, starts[6].Sub(starts[5]), starts[1].Sub(starts[0]))
		require.Less(t, starts[6].Sub(starts[0]), 12*time.Second)
	})
}

func TestACommitThatPanicsIsTheRefusalOfTheChangeAtFaultAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commits := 0
		l := newLedgerLane(1000, rand.Float64, func(changes []*queuedChange) ([]*queuedChange, bool) {
			commits++
			for _, c := range changes {
				if c.Event.ID == "m7" {
					panic("no such field")
				}
			}
			for _, c := range changes {
				c.settle(ownership.Outcome{Kind: ownership.Applied})
			}
			return nil, true
		})
		var panicked *ownership.PanicError
		for i, o := range l.change(t.Context(), ledgerChanges("m", 20)) {
			if i == 7 {
				require.Equal(t, ownership.Failed, o.Kind)
				require.ErrorAs(t, o.Err, &panicked)
				require.Equal(t, "no such field", panicked.Value)
			} else {
				require.Equal(t, ownership.Applied, o.Kind, "%d: %v", i, o.Err)
			}
		}
		require.Less(t, commits, 20, "not each alone")
	})
}
