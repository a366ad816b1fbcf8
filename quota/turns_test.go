package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// newcomer is a process that has written nothing of a window that began at noon, and
// reads it so much later for the first time.
type newcomer struct {
	block
	began time.Time // the window, and the process's clock
}

func newNewcomer(after time.Duration, s limits.Sharing) *newcomer {
	n := &newcomer{began: time.UnixMicro(1795441715427782)}
	n.reads(after, 1, s)
	return n
}

func (n *newcomer) reads(after time.Duration, version limits.Version, s limits.Sharing) {
	w := crowdPolicy.NewWindow(limits.UnixSeconds(n.began), 0)
	w.Count, w.Sharing = s.Writes, s
	n.answered(instant(after), call{kind: load}, answer{sent: instant(after), snapshot: limits.Snapshot{Window: w, Version: version, ReadTime: n.began.Add(after)}}, crowdPolicy)
}

func (n *newcomer) next(after time.Duration, chance float64) call {
	return n.nextFor(instant(after), 1, 1, chance)
}

// oneWriter is a window that one other process has written.
var oneWriter = limits.Sharing{Writes: 1, Processes: 1, Writer: 7}

func TestWhoComesToAWindowThatHasJustBegunReckonsThatManyWill(t *testing.T) {
	n := newNewcomer(20*time.Millisecond, oneWriter)
	require.EqualValues(t, 50, n.expected(instant(20*time.Millisecond)))
	require.Equal(t, pause, n.next(20*time.Millisecond, 0.5).kind, "it is another's turn")
	require.Equal(t, reserve, newNewcomer(20*time.Millisecond, oneWriter).next(20*time.Millisecond, 0.999).kind, "it is its own")
	require.Equal(t, reserve, newNewcomer(400*time.Millisecond, oneWriter).next(400*time.Millisecond, 0.5).kind, "by now they would have come")
}

// Who has known the window before knows how many they were.
func TestWhoKnowsTheWindowBeforeDrawsNoTurnForTwo(t *testing.T) {
	n := newNewcomer(20*time.Millisecond, oneWriter)
	n.began = n.began.Add(time.Minute)
	at := time.Minute + 20*time.Millisecond
	w := crowdPolicy.NewWindow(limits.UnixSeconds(n.began), 0)
	w.Count, w.Sharing = 1, oneWriter
	n.answered(instant(at), call{kind: load}, answer{sent: instant(at), snapshot: limits.Snapshot{Window: w, Version: 2, ReadTime: n.began.Add(20 * time.Millisecond)}}, crowdPolicy)
	require.Equal(t, reserve, n.next(at, 0.5).kind)
}

func TestATurnIsDrawnAnewWhenAnotherHasWritten(t *testing.T) {
	n := newNewcomer(20*time.Millisecond, oneWriter)
	n.next(20*time.Millisecond, 0.9)
	before := n.shared.turn
	n.reads(40*time.Millisecond, 1, oneWriter)
	n.next(40*time.Millisecond, 0.5)
	require.Equal(t, before, n.shared.turn, "nothing was written")
	n.reads(60*time.Millisecond, 2, limits.Sharing{Writes: 2, Processes: 2, Writer: 8})
	n.next(60*time.Millisecond, 0.5)
	require.Greater(t, n.shared.turn, before)
}

func TestWhoHasWaitedForItsTurnReadsBeforeItWrites(t *testing.T) {
	n := newNewcomer(20*time.Millisecond, oneWriter)
	c := n.next(20*time.Millisecond, 0.94)
	require.Equal(t, pause, c.kind)
	after := time.Duration(n.shared.turn)
	require.Less(t, after, 70*time.Millisecond, "the read is not so old that it is read again anyway")
	require.Equal(t, call{kind: load}, n.next(after, 0.9))
	n.reads(after+time.Millisecond, 1, oneWriter)
	require.Equal(t, reserve, n.next(after+time.Millisecond, 0.9).kind)
}

func TestWhoLosesTheRaceForAPartTakesAnother(t *testing.T) {
	noon := time.UnixMicro(1795441715427782)
	b := parted(noon)
	b.answered(2, b.nextFor(2, 1, 1, 0.5), answer{sent: 2, snapshot: limits.Snapshot{Version: limits.Absent, ReadTime: noon}}, crowdPolicy)
	c := b.nextFor(2, 1, 1, 0.5)
	require.EqualValues(t, 2, c.part)
	require.Equal(t, reserve, c.kind)
	b.answered(2, c, answer{sent: 2, err: limits.ErrConflict}, crowdPolicy)
	require.Equal(t, call{kind: load, part: 3}, b.nextFor(2, 1, 1, 0.9), "by chance")
}
