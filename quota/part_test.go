package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

var crowdPolicy = limits.Policy{Limit: 1000, Window: time.Minute}

// parted is a block of a window with three parts of ten units each, which began at
// noon, and of which nothing else was reserved.
func parted(noon time.Time) *block {
	w := crowdPolicy.NewWindow(limits.UnixSeconds(noon), 0)
	w.Count, w.Sharing = 30, limits.Sharing{Writes: 5, Processes: 5, Parts: 3, PartLimit: 10, Parted: 1}
	b := &block{}
	b.answered(1, call{kind: load}, answer{sent: 1, snapshot: limits.Snapshot{Window: w, Version: 1, ReadTime: noon}}, crowdPolicy)
	return b
}

func TestAPartHasWhatWasPutAsideForIt(t *testing.T) {
	noon := time.UnixMicro(1795441715427782)
	b := parted(noon)
	next := func() call { return b.nextFor(2, 1, 1, 0.5) }
	require.Equal(t, call{kind: load, part: 2}, next(), "the middle one, by chance")
	b.answered(2, next(), answer{sent: 2, snapshot: limits.Snapshot{Version: limits.Absent, ReadTime: noon}}, crowdPolicy)
	reserved := int32(0)
	for version := limits.Version(10); next().kind == reserve && next().part == 2; version++ {
		c := next()
		require.LessOrEqual(t, c.window.Count, int64(10))
		require.EqualValues(t, 10, c.window.Limit)
		reserved += c.units
		b.answered(2, c, answer{sent: 2, receipt: limits.Receipt{Version: version, CommitTime: noon}}, crowdPolicy)
		b.left = 0
	}
	require.EqualValues(t, 10, reserved)
	require.Equal(t, call{kind: load, part: 2}, next(), "another one, before the window itself")
}

// The window's end is the store's, and a call may be answered long after it: what
// the part's document has then is of the next window, and is not this one's.
func TestAPartThatIsOfALaterWindowIsReadAgain(t *testing.T) {
	noon := time.UnixMicro(1795441715427782)
	b := parted(noon)
	later := crowdPolicy.NewWindow(limits.UnixSeconds(noon.Add(time.Minute)), 0)
	ofPart := later
	ofPart.Limit, ofPart.Count = 10, 9
	b.answered(2, b.nextFor(2, 1, 1, 0.5), answer{sent: 2, snapshot: limits.Snapshot{Window: ofPart, Version: 7, ReadTime: noon.Add(time.Minute)}}, crowdPolicy)
	require.Equal(t, call{kind: load}, b.nextFor(2, 1, 1, 0.5), "the window itself first")
	later.Count, later.Sharing = 30, limits.Sharing{Writes: 1, Processes: 1, Crowd: 5, Parts: 3, PartLimit: 10, Parted: 2}
	b.answered(2, call{kind: load}, answer{sent: 2, snapshot: limits.Snapshot{Window: later, Version: 8, ReadTime: noon.Add(time.Minute)}}, crowdPolicy)
	require.Equal(t, load, b.nextFor(2, 1, 1, 0.5).kind, "nine of its ten units are gone")
}

func TestAWindowThatNobodyHasBegunHasNoParts(t *testing.T) {
	noon := time.UnixMicro(1795441715427782)
	b := parted(noon)
	ended := b.window()
	ended.Sharing = b.shared.Sharing
	b.answered(2, call{kind: load}, answer{sent: 2, snapshot: limits.Snapshot{Window: ended, Version: 1, ReadTime: noon.Add(time.Minute)}}, crowdPolicy)
	c := b.nextFor(2, 1, 1, 0)
	require.Equal(t, pause, c.kind, "it is another's turn")
	b.shared.turn = 1
	c = b.nextFor(2, 1, 1, 0.5)
	require.Equal(t, reserve, c.kind)
	require.Zero(t, c.part)
	s := c.window.Sharing
	require.EqualValues(t, 62, s.Parts)
	require.EqualValues(t, 2, s.Parted)
	require.Equal(t, s.Parts*s.PartLimit+int64(c.units), c.window.Count, "all that is put aside is counted")
}

func TestEveryNinthWindowBeginsWithoutParts(t *testing.T) {
	s := limits.Sharing{Processes: 5, Parts: 10, PartLimit: 10, Parted: 1}
	for range mostParted - 1 {
		s = sharingAfter(s, 1000, false)
		require.NotZero(t, s.Parts)
	}
	require.Zero(t, sharingAfter(s, 1000, false).Parts)
	require.Zero(t, sharingAfter(s, 1000, true), "what was long ago says nothing")
	require.Zero(t, sharingAfter(limits.Sharing{Processes: 2}, 1000, false))
	require.Equal(t, limits.Sharing{Crowd: 7}, sharingAfter(limits.Sharing{Processes: 7}, 1000, false))
}

func TestASharedDocumentIsWrittenFourTimesASecondAtMost(t *testing.T) {
	for _, seconds := range []int32{1, 2, 3, 5, 60, 3600} {
		t.Run(fmt.Sprint(seconds), func(t *testing.T) {
			var s limits.Sharing
			for now, end := time.Duration(0), time.Duration(seconds)*time.Second; now < end; now += time.Millisecond {
				for untilWrite(s, seconds, now) == 0 {
					s.Writes = writesAfter(s, now)
				}
			}
			require.LessOrEqual(t, s.Writes, int64(4*seconds))
			require.Greater(t, s.Writes, int64(5*seconds/2))
		})
	}
}

// Processes that were refused for a while come back together.
func TestAPauseOfASharedDocumentIsNotMadeUpFor(t *testing.T) {
	s := limits.Sharing{Writes: 6}
	writes := 0
	for now := 20 * time.Second; now < 21*time.Second; now += time.Millisecond {
		for untilWrite(s, 60, now) == 0 {
			s.Writes = writesAfter(s, now)
			writes++
		}
	}
	require.LessOrEqual(t, writes, sharedBurst+sharedWrites)
}

func TestFewOfACrowdHaveTheirTurnAtOnce(t *testing.T) {
	const crowd = 200
	soon := 0
	for i := range crowd {
		wait := turn(crowd, 20*time.Millisecond, (float64(i)+0.5)/crowd)
		require.LessOrEqual(t, wait, turnWithin)
		if wait < 40*time.Millisecond {
			soon++
		}
	}
	require.GreaterOrEqual(t, soon, 1)
	require.LessOrEqual(t, soon, 5)
}
