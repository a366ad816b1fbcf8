package quota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process that nobody shares the tenant with begins each window with a read and
// a write, and waits for nothing else.
func TestAProcessThatIsAloneBeginsAWindowWithoutATurn(t *testing.T) {
	for _, every := range []time.Duration{time.Second / 5, 70 * time.Second, 5 * time.Minute} {
		t.Run(every.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				l := limiter(t, newFar(roundTrip, 0), limitOf(1000, time.Minute))
				for end := time.Now().Add(12 * time.Minute); time.Now().Before(end); time.Sleep(every) {
					began := time.Now()
					require.True(t, allow(t, l).Allowed)
					require.LessOrEqual(t, time.Since(began), 2*roundTrip+serving)
				}
			})
		})
	}
}

// Two that share a tenant's windows all the time know that they are but two.
func TestTwoProcessesTakeNoTurns(t *testing.T) {
	c := crowd{processes: 2, every: time.Second / 5, limit: 1_000_000, window: 10 * time.Second, lasts: 5 * time.Minute}
	inBubble(t, func(t *testing.T) {
		o := c.run(t)
		require.Zero(t, o.failed+o.refused+o.early)
		require.LessOrEqual(t, o.p(.995), 100*time.Millisecond)
	})
}

// Of many processes that ask for a window at once, few try to write its document.
func TestFewOfACrowdTryToBeginAWindow(t *testing.T) {
	for together, first := range map[bool]int{
		false: 60,
		true:  260, // none of them can know of the others before it has tried
	} {
		c := crowd{processes: 200, every: time.Second / 5, limit: 1_000_000, window: 10 * time.Second, lasts: 45 * time.Second, together: together}
		t.Run(fmt.Sprint("together ", together), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				o := c.run(t)
				require.LessOrEqual(t, o.tries[0]+o.tries[1], first)
				for begins := 10; begins <= 40; begins += 10 {
					require.LessOrEqual(t, o.tries[begins]+o.tries[begins+1], 40, "second %d", begins)
				}
			})
		})
	}
}

// What is released goes back to the part that it is of, though others write that
// part too.
func TestACrowdLeavesTheWindowsDocumentAloneOnceThereAreParts(t *testing.T) {
	c := crowd{processes: 200, every: time.Second / 5, limit: 1_000_000, window: time.Minute, lasts: 59 * time.Second}
	inBubble(t, func(t *testing.T) {
		o := c.run(t)
		tries := 0
		for second, n := range o.tries {
			if second > 1 {
				tries += n
			}
		}
		require.LessOrEqual(t, tries, 10)
	})
}
