package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// one applies one change, and returns all of its outcome.
func one(t *testing.T, s ownership.Store, c ownership.Change) ownership.Outcome {
	t.Helper()
	outcomes := s.Apply(context.Background(), []ownership.Change{c})
	require.Len(t, outcomes, 1)
	require.NoError(t, outcomes[0].Err)
	return outcomes[0]
}

func nameTwiceInTheLedger(t *testing.T, b Backend) {
	s, other := b.Open(), b.Open()
	apply(t, s, created(thread("a"), "t_a", 1, "ea"), created(thread("b"), "t_b", 1, "eb"))
	apply(t, s, tenantMoved("t_a", "t_ab", 5, "merger"))

	lost := one(t, other, tenantMoved("t_b", "t_ab", 6, "merger"))
	require.Equal(t, ownership.Conflict, lost.Kind, "no event is lost as a duplicate")
	for _, part := range []string{"came twice with different content", "from t_a to t_ab", "from t_b to t_ab"} {
		require.Contains(t, lost.Detail, part)
	}
	require.Equal(t, "t_ab", owner(t, s, thread("a")))
	require.Equal(t, "t_b", owner(t, s, thread("b")))

	won := one(t, other, tenantMoved("t_x", "t_y", 2, "merger"))
	require.Equal(t, ownership.Applied, won.Kind, "the smaller counts, in whatever order they come")
	require.NotNil(t, won.Displaced)
	require.Equal(t, "t_a", won.Displaced.From)
	require.Equal(t, "t_a", owner(t, s, thread("a")))
	require.Equal(t, ownership.Duplicate, one(t, s, tenantMoved("t_x", "t_y", 2, "merger")).Kind)
	require.Equal(t, ownership.Conflict, one(t, s, tenantMoved("t_a", "t_ab", 5, "merger")).Kind, "at every delivery")
	all, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Len(t, all[0].Displaced, 1, "what was displaced stays to be seen")
	require.Equal(t, tenantMoved("t_a", "t_ab", 5, "merger").Entry.Says(), all[0].Displaced[0].Says())
}

func nameTwiceInOneBatch(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e"))
	require.Equal(t, kinds(ownership.Applied, ownership.Conflict, ownership.Conflict, ownership.Applied),
		apply(t, s, tenantMoved("t_p", "t_q", 5, "l"), tenantMoved("t_p", "t_r", 6, "l"),
			moved(thread("1"), "t_a", "t_c", 6, "m"), moved(thread("1"), "t_a", "t_b", 5, "m")))
	require.Equal(t, "t_b", owner(t, s, thread("1")))
}

func nameTwiceOfAResource(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_old", 1, "e"), moved(thread("1"), "t_old", "t_new", 50, "move-12"))
	attack := moved(thread("1"), "t_old", "t_attacker", 40, "move-12")
	o := one(t, b.Open(), attack)
	require.Equal(t, ownership.Applied, o.Kind)
	require.NotNil(t, o.Displaced)
	require.Equal(t, "t_new", o.Displaced.To)
	require.Equal(t, ownership.Conflict, one(t, s, moved(thread("1"), "t_old", "t_new", 50, "move-12")).Kind, "the real one redelivered is no duplicate")
	record, _ := read(t, b.Open(), thread("1"))
	require.Len(t, record.Displaced, 1)
	require.Equal(t, "t_new", record.Displaced[0].To)
	require.Len(t, record.History, 2, "no part of the history")

	apply(t, s, created(thread("1"), "t_first", 0, "e0"))
	record, _ = read(t, s, thread("1"))
	require.Len(t, record.Displaced, 2, "a creation that lost to an older one is seen too")
	b.SetPlain("thread__1", "t_p", true)
	apply(t, s, moved(thread("1"), "t_z", "t_y", 60, "later"))
	record, _ = read(t, s, thread("1"))
	require.Len(t, record.Displaced, 2, "it survives what is written later")
}

func nameOfARetractedMove(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_a", "t_b", 5, "move-14"))
	retract(t, s, "move-14")
	for _, corrected := range []ownership.Change{tenantMoved("t_a", "t_c", 6, "move-14"), tenantMoved("t_a", "t_c", 4, "move-14")} {
		o := one(t, b.Open(), corrected)
		require.Equal(t, ownership.Conflict, o.Kind)
		require.Contains(t, o.Detail, "retracted; publish it under an id of its own")
	}
	require.Equal(t, "t_a", owner(t, s, thread("1")))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_a", "t_c", 6, "move-14b")))
	require.Equal(t, "t_c", owner(t, s, thread("1")), "under an id of its own it counts")
}

func operatorsAtOnce(t *testing.T, b Backend) {
	apply(t, b.Open(), created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_a", "t_b", 5, "m"))
	operators := []string{"alice", "bob", "carol"}
	outcomes := make([]ownership.Outcome, len(operators))
	var wg sync.WaitGroup
	for i, by := range operators {
		s := b.Open()
		wg.Go(func() {
			outcomes[i] = s.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, by, "wrong tenant")})[0]
		})
	}
	wg.Wait()
	all, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all[0].Retractions, len(operators), "everything that was said is kept")
	for i, o := range outcomes {
		require.NoError(t, o.Err)
		if operators[i] == all[0].Retractions[0].By {
			require.Equal(t, ownership.Applied, o.Kind)
			continue
		}
		require.Equal(t, ownership.Duplicate, o.Kind)
		require.Contains(t, o.Detail, all[0].Retractions[0].By, "each is told who was first")
	}
	for _, said := range all[0].Retractions {
		require.Equal(t, "wrong tenant", said.Why)
		require.False(t, said.At.IsZero())
	}
	earlier := ownership.Retraction(ownership.Version{Time: second(0), Source: "//nexus", ID: "m"}, "mallory", "")
	require.Equal(t, ownership.Duplicate, b.Open().Apply(context.Background(), []ownership.Change{earlier})[0].Kind)
	after, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Equal(t, all[0].Retractions[0], after[0].Retractions[0], "an earlier time rewrites nothing")
	require.Equal(t, ownership.Duplicate, b.Open().Apply(context.Background(), []ownership.Change{earlier})[0].Kind)
	again, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Equal(t, after[0].Position, again[0].Position, "what was said before is not even written")
}

func textsAreKept(t *testing.T, b Backend) {
	s := b.Open()
	named, whole := moved(thread("1"), "t_a", "t_b", 5, "m"), tenantMoved("t_p", "t_q", 5, "l")
	for _, c := range []*ownership.Change{&named, &whole} {
		c.Entry.Reason, c.Entry.Actor = "OPS-7: größer", "kim@example.com"
	}
	apply(t, s, created(thread("1"), "t_a", 1, "e"), named, whole)
	record, _ := read(t, b.Open(), thread("1"))
	require.True(t, record.History[1].Equal(named.Entry), "%+v", record.History[1])
	m := stored(t, s)[0]
	require.Equal(t, []string{"OPS-7: größer", "kim@example.com"}, []string{m.Reason, m.Actor})
}

func strangersCannotFill(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e"))
	var idle []ownership.Change
	for i := range ownership.MaxIdleMoves + 5 {
		idle = append(idle, moved(thread("1"), "t_x", "t_y", 2+i, fmt.Sprint("s", i)), moved(thread("future"), "t_x", "t_y", 2+i, fmt.Sprint("s", i)))
	}
	refused := 0
	for _, o := range s.Apply(context.Background(), idle) {
		require.NoError(t, o.Err)
		if o.Kind == ownership.HistoryFull {
			refused++
			require.False(t, o.WouldCount)
		}
	}
	require.Equal(t, 10, refused)
	require.Equal(t, kinds(ownership.Applied), apply(t, s, moved(thread("1"), "t_a", "t_b", 500, "true")))
	require.Equal(t, "t_b", owner(t, s, thread("1")), "the true move still counts")
	apply(t, s, created(thread("future"), "t_a", 900, "e"), moved(thread("future"), "t_a", "t_b", 901, "true"))
	require.Equal(t, "t_b", owner(t, s, thread("future")))
}
