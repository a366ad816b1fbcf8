package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func retract(t *testing.T, s ownership.Store, id string) ownership.OutcomeKind {
	t.Helper()
	o := s.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: id}, "somebody", "")})[0]
	require.NoError(t, o.Err)
	return o.Kind
}

func retraction(t *testing.T, b Backend) {
	s, other := b.Open(), b.Open()
	apply(t, s, created(thread("a"), "t_a", 1, "ea"), created(thread("b"), "t_b", 1, "eb"), created(thread("c"), "t_c", 1, "ec"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"), tenantMoved("t_b", "t_c", 6, "m2"))
	for _, id := range []string{"a", "b", "c"} {
		require.Equal(t, "t_c", owner(t, other, thread(id)))
	}
	require.Equal(t, ownership.Applied, retract(t, s, "m2"))
	require.Equal(t, "t_b", owner(t, other, thread("a")), "the earlier move counts still")
	require.Equal(t, "t_b", owner(t, other, thread("b")))
	require.Equal(t, "t_c", owner(t, other, thread("c")), "what the target owned itself stays its own")
	require.Equal(t, ownership.Applied, retract(t, other, "m1"))
	require.Equal(t, "t_a", owner(t, s, thread("a")))
	require.Empty(t, b.Feed(), "the ledger is its own feed")
}

func retractedForEver(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_a", "t_b", 5, "m"))
	retract(t, s, "m")
	_, before := read(t, s, thread("1"))
	first := stored(t, s)[0].Retractions[0]
	require.Equal(t, ownership.Duplicate, retract(t, b.Open(), "m"), "again is no change")
	_, again := read(t, s, thread("1"))
	require.Equal(t, before.Position(), again.Position(), "the same words are kept once, whatever became of the first answer")
	other := ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "somebody else", "")
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, other))
	require.Equal(t, kinds(ownership.Duplicate), apply(t, b.Open(), tenantMoved("t_a", "t_b", 5, "m")))
	require.Equal(t, "t_a", owner(t, b.Open(), thread("1")))
	_, after := read(t, s, thread("1"))
	said := stored(t, s)[0].Retractions
	require.Len(t, said, 2, "who was second is known too")
	require.Equal(t, first, said[0])
	require.Equal(t, "somebody", said[0].By)
	require.Greater(t, after.Position(), before.Position())
}

func retractionFirst(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	require.Equal(t, ownership.Applied, retract(t, s, "m"))
	all, err := s.Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].RetractionOnly)
	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_a", "t_b", 5, "m")))
	require.Equal(t, "t_a", owner(t, b.Open(), thread("1")))
	all, err = s.Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.False(t, all[0].RetractionOnly)
	require.True(t, all[0].Retracted())
	require.False(t, all[0].Rewriting.Pending(), "no fold has changed")
}

func retractionInABatch(t *testing.T, b Backend) {
	s := b.Open()
	back := func(id string) ownership.Change {
		return ownership.Retraction(ownership.Version{Source: "//nexus", ID: id}, "kim", "")
	}
	applied := ownership.Applied
	require.Equal(t, kinds(applied, applied, applied, applied), apply(t, s,
		tenantMoved("t_a", "t_b", 5, "m"), created(thread("1"), "t_a", 1, "e1"), back("m"), tenantMoved("t_a", "t_c", 6, "n")))
	require.Equal(t, "t_c", owner(t, b.Open(), thread("1")))
	require.Equal(t, kinds(ownership.Duplicate, applied), apply(t, s, tenantMoved("t_a", "t_b", 5, "m"), back("n")))
	require.Equal(t, "t_a", owner(t, b.Open(), thread("1")))

	_, before := read(t, s, thread("1"))
	wrong := back("m")
	wrong.Entry.Actor = "kim\n"
	outcomes := s.Apply(context.Background(), []ownership.Change{wrong, {Resource: thread("1"), Entry: wrong.Entry}, {Entry: created(thread("1"), "t_a", 1, "e1").Entry}})
	for _, o := range outcomes {
		require.ErrorIs(t, o.Err, registry.ErrInvalid)
	}
	_, after := read(t, s, thread("1"))
	require.Equal(t, before.Position(), after.Position(), "what is not valid is stored nowhere")
}

func moves(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, tenantMoved("t_c", "t_d", 9, "late"), tenantMoved("t_a", "t_b", 5, "early"))
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	o := s.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Time: at, Source: "//nexus", ID: "late"}, "ops@example.com", "")})[0]
	require.Equal(t, ownership.Applied, o.Kind)
	all, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, []string{"early", "late"}, []string{all[0].ID, all[1].ID}, "in version order")
	require.False(t, all[0].Retracted())
	require.True(t, all[1].Retracted())
	said := all[1].Retractions[0]
	require.Equal(t, "ops@example.com", said.By)
	require.True(t, at.Equal(said.At), "to the nanosecond: %s", said.At)
	require.Equal(t, []int64{2, 3}, []int64{all[0].Position, all[1].Position}, "positions are in the order of commits")
}

func movesInParts(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	requireMoves := func(entries []ownership.LedgerEntry, err error) func(ids ...string) {
		t.Helper()
		require.NoError(t, err)
		got := []string{}
		for _, e := range entries {
			got = append(got, e.ID)
		}
		return func(ids ...string) {
			t.Helper()
			require.Equal(t, append([]string{}, ids...), got)
		}
	}
	requireMoves(s.MovesBetween(ctx, 0, 10))()
	requireMoves(s.PendingMoves(ctx, 0, 10))()
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"), tenantMoved("t_c", "t_d", 9, "m2"), tenantMoved("t_e", "t_f", 1, "m3"))
	name := func(id string) ownership.EventName { return ownership.EventName{Source: "//nexus", ID: id} }
	requireMoves(s.MovesNamed(ctx, nil))()
	requireMoves(s.MovesNamed(ctx, []ownership.EventName{name("m3"), name("none"), name("m1")}))("m3", "m1")
	requireMoves(s.MovesBetween(ctx, 0, 2))("m1", "m2")
	requireMoves(s.MovesBetween(ctx, 1, 3))("m2", "m3")
	requireMoves(s.MovesBetween(ctx, 2, 2))()
	retract(t, s, "m1")
	requireMoves(s.MovesBetween(ctx, 0, 3))("m2", "m3")
	requireMoves(s.MovesBetween(ctx, 3, 4))("m1")

	requireMoves(s.PendingMoves(ctx, 0, 10))("m2", "m3", "m1")
	requireMoves(s.PendingMoves(ctx, 0, 2))("m2", "m3")
	requireMoves(s.PendingMoves(ctx, 3, 10))("m1")
	requireMoves(s.ParkedMoves(ctx, 0, 10))()
	for range 2 {
		save(t, s, claim(t, s, "w"), func(r *ownership.Rewriting) {
			for range ownership.MostTries {
				*r = r.FailedAt(time.Now(), "no", false)
			}
		})
	}
	requireMoves(s.PendingMoves(ctx, 0, 10))("m1")
	require.Equal(t, "m1", claim(t, s, "w").Entry.ID, "nobody does what is parked")
	requireMoves(s.ParkedMoves(ctx, 0, 10))("m3", "m2")
	requireMoves(s.ParkedMoves(ctx, 0, 1))("m3")
	requireMoves(s.ParkedMoves(ctx, 3, 10))("m2")
	parked, err := b.Open().MovesNamed(ctx, []ownership.EventName{name("m2")})
	require.NoError(t, err)
	require.True(t, parked[0].Rewriting.Parked())

	b.SetMoveFormat("//nexus", "m3", later)
	requireMoves(s.ParkedMoves(ctx, 0, 1))("m2")
	all, err := s.MovesBetween(ctx, 4, 5)
	require.NoError(t, err)
	require.Error(t, all[0].Unread)
	require.NoError(t, s.ResumeJob(ctx, name("m2")))
	requireMoves(s.ParkedMoves(ctx, 0, 10))()
	requireMoves(s.PendingMoves(ctx, 0, 10))("m2", "m1")
}

// stored are the entries of the ledger.
func stored(t *testing.T, s Store) []ownership.LedgerEntry {
	t.Helper()
	all, err := s.Moves(context.Background())
	require.NoError(t, err)
	return all
}
