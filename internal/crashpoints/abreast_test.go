package crashpoints_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
)

func TestEveryPointIsTriedHoweverManyAreTriedAtATime(t *testing.T) {
	for _, effects := range []int{0, 1, 2, 5} {
		for _, n := range []int{1, 2, 3, 4} {
			var mu sync.Mutex
			tried := map[crashpoints.Point]int{}
			points := crashpoints.Abreast(n, func(at crashpoints.Point) bool {
				mu.Lock()
				defer mu.Unlock()
				tried[at]++
				return at.Effects < effects
			})
			require.Equal(t, 2*effects, points)
			for i := range effects {
				for _, lost := range []bool{false, true} {
					require.Equal(t, 1, tried[crashpoints.Point{Effects: i, Lost: lost}])
				}
			}
			require.LessOrEqual(t, len(tried), points+n)
		}
	}
}
