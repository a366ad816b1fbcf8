package outbox_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/outbox"
)

func TestATopicThatIsAwayWheneverASweepIsDueHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := logging(t)
		id := claim(t, s, "of-the-dead") // before there was a publisher: as if its process had died
		p := &topic{}
		defer run(t, s, p, outbox.Options{})()
		time.Sleep(50 * time.Second)
		for range 3 {
			p.set(true) // a sweep is due in ten seconds, as each minute
			time.Sleep(20 * time.Second)
			p.set(false)
			time.Sleep(40 * time.Second)
		}
		require.Equal(t, []string{id}, p.distinct())
	})
}

func TestProcessesThatDoNotReachTheTopicHoldUpNoneThatDoes(t *testing.T) {
	for phase := range 10 { // of the turns that they take
		synctest.Test(t, func(t *testing.T) {
			db, s := logging(t)
			id := claim(t, s, "of-the-dead")
			for i := range 3 {
				defer run(t, open(t, db), &topic{away: true, late: 10 * time.Second}, outbox.Options{Holder: fmt.Sprint("cut-off-", i)})()
				time.Sleep(7 * time.Second)
			}
			time.Sleep(time.Duration(300+6*phase) * time.Second)
			p := &topic{}
			defer run(t, s, p, outbox.Options{Holder: "z"})()
			time.Sleep(time.Minute)
			require.Equal(t, []string{id}, p.distinct(), "phase %d", phase)
		})
	}
}
