package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func creationRegisters(t *testing.T, b Backend) {
	s := b.Open()
	require.Equal(t, kinds(ownership.Applied), apply(t, s, created(thread("1"), "t_a", 1, "e1")))
	require.Equal(t, "t_a", owner(t, s, thread("1")))
	require.Equal(t, "t_a", written(t, b.Open(), thread("1")), "another process sees it too")
	require.Empty(t, owner(t, s, canvas("1")), "a canvas with the same id is another resource")
}

func unregistered(t *testing.T, b Backend) {
	record, ledger := read(t, b.Open(), thread("nobody"))
	require.False(t, record.Exists())
	require.Empty(t, record.History.Owner(ledger))
	require.Empty(t, record.TenantID)
}

func duplicateChangesNothing(t *testing.T, b Backend) {
	s := b.Open()
	c := created(thread("1"), "t_a", 1, "e1")
	apply(t, s, c)
	before, _ := read(t, s, thread("1"))
	require.Equal(t, kinds(ownership.Duplicate, ownership.Duplicate), apply(t, s, c, c))
	require.Equal(t, kinds(ownership.Duplicate), apply(t, b.Open(), c), "for a process that knows nothing of it")
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, created(thread("1"), "t_a", 9, "e2")), "a later creation by the same tenant")
	after, _ := read(t, s, thread("1"))
	require.Equal(t, before, after, "not even written")
}

func outcomesInOrder(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("old"), "t_a", 1, "e1"))
	got := apply(t, s,
		created(thread("new"), "t_a", 2, "e2"),
		created(thread("old"), "t_b", 3, "e3"),
		tenantMoved("t_x", "t_y", 4, "e4"),
		created(thread("old"), "t_a", 1, "e1"),
		moved(thread("old"), "t_b", "t_c", 5, "e5"),
		moved(thread("new"), "t_a", "t_b", 6, "e6"),
		tenantMoved("t_x", "t_y", 4, "e4"),
	)
	require.Equal(t, kinds(ownership.Applied, ownership.Conflict, ownership.Applied, ownership.Duplicate,
		ownership.Inapplicable, ownership.Applied, ownership.Duplicate), got)
	require.Empty(t, b.Open().Apply(context.Background(), nil))
}

func smallerCreationWins(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_late", 5, "e5"))
	outcomes := s.Apply(context.Background(), []ownership.Change{created(thread("1"), "t_early", 3, "e3")})
	require.Equal(t, ownership.Applied, outcomes[0].Kind)
	require.NotNil(t, outcomes[0].Displaced)
	require.Equal(t, "t_late", outcomes[0].Displaced.Tenant, "who had been told yes is named")
	require.Equal(t, "t_early", owner(t, s, thread("1")))
}

func conflictInsideABatch(t *testing.T, b Backend) {
	s := b.Open()
	require.Equal(t, kinds(ownership.Conflict, ownership.Applied),
		apply(t, s, created(thread("1"), "t_late", 5, "e5"), created(thread("1"), "t_early", 3, "e3")))
	require.Equal(t, "t_early", owner(t, s, thread("1")))
}

func conflictEveryTime(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	for range 3 {
		outcomes := s.Apply(context.Background(), []ownership.Change{created(thread("1"), "t_b", 2, "e2")})
		require.Equal(t, ownership.Conflict, outcomes[0].Kind)
		require.Contains(t, outcomes[0].Detail, "t_a")
		require.Contains(t, outcomes[0].Detail, "tenant_id")
	}
	apply(t, s, moved(thread("1"), "t_a", "t_b", 3, "e3"))
	require.Equal(t, kinds(ownership.Conflict), apply(t, s, created(thread("1"), "t_b", 2, "e2")), "also when it owns it by now")
}

func oneIDTwice(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_b", 1, "e1"))
	outcomes := s.Apply(context.Background(), []ownership.Change{created(thread("1"), "t_c", 1, "e1")})
	require.Equal(t, ownership.Conflict, outcomes[0].Kind)
	require.Contains(t, outcomes[0].Detail, "twice")
	require.Equal(t, kinds(ownership.Applied), apply(t, s, created(thread("1"), "t_a", 1, "e1")), "the smaller content counts")
	require.Equal(t, "t_a", owner(t, s, thread("1")))

	apply(t, s, moved(thread("1"), "t_a", "t_x", 5, "m"), moved(thread("1"), "t_a", "t_y", 4, "m"))
	require.Equal(t, "t_y", owner(t, s, thread("1")), "of two moves with one id the earlier counts")
	apply(t, s, tenantMoved("t_y", "t_p", 9, "l"), tenantMoved("t_y", "t_q", 8, "l"), tenantMoved("t_y", "t_r", 9, "l"))
	require.Equal(t, "t_q", owner(t, s, thread("1")))
}

func outOfOrder(t *testing.T, b Backend) {
	changes := func(r registry.Resource) []ownership.Change {
		return []ownership.Change{
			created(r, "t_a", 1, "e1"),
			moved(r, "t_a", "t_b", 2, "e2"),
			moved(r, "t_b", "t_c", 3, "e3"),
		}
	}
	s := b.Open()
	for i, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		r := thread(fmt.Sprint("t", i))
		for _, j := range order {
			apply(t, s, changes(r)[j])
		}
		require.Equal(t, "t_c", owner(t, s, r), "order %v", order)
		require.Equal(t, "t_c", written(t, s, r), "order %v", order)
		record, _ := read(t, s, r)
		require.Equal(t, []string{"t_a", "t_b", "t_c"}, record.Path)
	}
}

func moveFirst(t *testing.T, b Backend) {
	s := b.Open()
	require.Equal(t, kinds(ownership.Applied), apply(t, s, moved(thread("1"), "t_a", "t_b", 5, "e5")))
	require.Equal(t, "t_b", owner(t, s, thread("1")), "without a creation the base is the move's from")
	require.Equal(t, kinds(ownership.Applied), apply(t, s, created(thread("1"), "t_z", 1, "e1")))
	require.Equal(t, "t_z", owner(t, s, thread("1")), "by now the move does not apply")
}

func inapplicableKept(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	require.Equal(t, kinds(ownership.Inapplicable), apply(t, s, moved(thread("1"), "t_b", "t_c", 3, "e3")))
	require.Equal(t, "t_a", owner(t, s, thread("1")))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, moved(thread("1"), "t_a", "t_b", 2, "e2")))
	require.Equal(t, "t_c", owner(t, s, thread("1")), "the earlier event made the kept one apply")
}

func historyFull(t *testing.T, b Backend) {
	s := b.Open()
	changes := []ownership.Change{created(thread("1"), "t_0", 0, "e")}
	for i := range ownership.MaxMoves {
		changes = append(changes, moved(thread("1"), fmt.Sprint("t_", i), fmt.Sprint("t_", i+1), i+1, fmt.Sprint("e", i)))
	}
	apply(t, s, changes...)
	last := fmt.Sprint("t_", ownership.MaxMoves)
	require.Equal(t, last, owner(t, s, thread("1")))
	require.Equal(t, kinds(ownership.HistoryFull), apply(t, s, moved(thread("1"), last, "t_z", 5000, "one too many")))
	require.Equal(t, last, owner(t, s, thread("1")))
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, changes[7]), "what it holds it still knows")

	apply(t, s, created(thread("2"), "t_0", 0, "e"))
	var long []ownership.Change
	for i := range 400 {
		long = append(long, moved(thread("2"), fmt.Sprint("t_", i), fmt.Sprint("t_", i+1), i+1, strings.Repeat("x", 1000)+fmt.Sprint(i)))
		long[i].Entry.Source = strings.Repeat("s", 1000)
	}
	got := apply(t, s, long...)
	require.Equal(t, ownership.HistoryFull, got[len(got)-1], "long names fill a document sooner")
	require.NotEqual(t, ownership.HistoryFull, got[300])
}

func tenantMoves(t *testing.T, b Backend) {
	s, other := b.Open(), b.Open()
	for i := range 10 {
		apply(t, s, created(thread(fmt.Sprint(i)), "t_a", 1+i, fmt.Sprint("e", i)))
	}
	apply(t, s, created(thread("b"), "t_b", 1, "eb"))
	require.Equal(t, "t_a", owner(t, other, thread("3")))

	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_a", "t_b", 50, "m1")))
	for i := range 10 {
		require.Equal(t, "t_b", owner(t, other, thread(fmt.Sprint(i))), "in every process, from the commit on")
	}
	require.Equal(t, kinds(ownership.Duplicate), apply(t, other, tenantMoved("t_a", "t_b", 50, "m1")))

	apply(t, other, tenantMoved("t_b", "t_c", 60, "m2"))
	require.Equal(t, "t_c", owner(t, s, thread("3")), "a chain")
	require.Equal(t, "t_c", owner(t, s, thread("b")))
	apply(t, other, tenantMoved("t_a", "t_d", 40, "m0"))
	require.Equal(t, "t_d", owner(t, s, thread("3")), "a move that comes late but is earlier")
}

func ledgerPositions(t *testing.T, b Backend) {
	s := b.Open()
	_, l := read(t, s, thread("1"))
	require.Zero(t, l.Position())
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m1"))
	apply(t, b.Open(), tenantMoved("t_c", "t_d", 4, "m2"))
	apply(t, s, tenantMoved("t_c", "t_d", 4, "m2"))
	_, l = read(t, s, thread("1"))
	require.EqualValues(t, 2, l.Position())
	require.Equal(t, 2, l.Len())
	entries := stored(t, s)
	require.Len(t, entries, 2)
	require.Equal(t, "m2", entries[0].ID, "in version order")
	require.EqualValues(t, 2, entries[0].Position)
	require.False(t, entries[0].ChangedAt.IsZero())
}

func createdAfterTenantMove(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 50, "m1"))
	apply(t, s, created(thread("before"), "t_a", 49, "e1"), created(thread("after"), "t_a", 51, "e2"))
	require.Equal(t, "t_b", owner(t, s, thread("before")))
	require.Equal(t, "t_b", written(t, s, thread("before")), "folded into what is written, too")
	require.Equal(t, "t_a", owner(t, s, thread("after")))
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, created(thread("before"), "t_a", 49, "e1")))
	require.Equal(t, kinds(ownership.Conflict), apply(t, s, created(thread("before"), "t_b", 60, "e3")), "who got it by a move did not create it")
}

func duplicateRepairs(t *testing.T, b Backend) {
	s := b.Open()
	c := created(thread("1"), "t_a", 1, "e1")
	apply(t, s, c)
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"))
	require.Equal(t, "t_a", written(t, s, thread("1")), "nobody has rewritten it")
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, c))
	require.Equal(t, "t_b", written(t, s, thread("1")))
	record, _ := read(t, s, thread("1"))
	require.Equal(t, []string{"t_a", "t_b"}, record.Path)

	apply(t, s, tenantMoved("t_b", "t_c", 6, "away"), tenantMoved("t_c", "t_b", 7, "and back"))
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, c))
	record, _ = read(t, s, thread("1"))
	require.Equal(t, []string{"t_a", "t_c", "t_b"}, record.Path, "the path, also if the owner is the same")
	require.Empty(t, b.Feed(), "a repair does not change the history")
}

func precision(t *testing.T, b Backend) {
	s := b.Open()
	c := created(thread("Case.and~all:@+=-"), "t_a", 1, "\x01 id with / and é and __x__")
	c.Entry.Time = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	c.Entry.Source = "//nexus/" + strings.Repeat("s", 900)
	apply(t, s, c)
	record, _ := read(t, s, c.Resource)
	require.True(t, record.History[0].Equal(c.Entry), "%+v", record.History[0])
	require.Empty(t, owner(t, s, thread("case.and~all:@+=-")), "ids are case-sensitive")
	earlier := created(c.Resource, "t_b", 0, "x")
	earlier.Entry.Time = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, kinds(ownership.Applied), apply(t, s, earlier))
	require.Equal(t, "t_b", owner(t, s, c.Resource))
}

func invalidNames(t *testing.T, b Backend) {
	s := b.Open()
	for _, id := range []string{"", ".", "..", "a/b", "__x__", "a b", "é", strings.Repeat("x", 257), "a\x00"} {
		outcomes := s.Apply(context.Background(), []ownership.Change{created(thread(id), "t_a", 1, "e1"), created(thread("ok"), "t_a", 1, "e2")})
		require.Equal(t, ownership.Failed, outcomes[0].Kind, "%q", id)
		require.ErrorIs(t, outcomes[0].Err, registry.ErrInvalid)
		require.NotEqual(t, ownership.Failed, outcomes[1].Kind, "the others of the batch go on")
		_, err := s.Read(context.Background(), []registry.Resource{thread(id)})
		require.ErrorIs(t, err, registry.ErrInvalid)
		_, err = s.Claim(context.Background(), "t_a", thread(id))
		require.ErrorIs(t, err, registry.ErrInvalid)
	}
}

func contextEnded(t *testing.T, b Backend) {
	s := b.Open()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	outcomes := s.Apply(ctx, []ownership.Change{created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_a", "t_b", 5, "m")})
	for _, o := range outcomes {
		require.Equal(t, ownership.Failed, o.Kind)
		require.ErrorIs(t, o.Err, registry.ErrUnavailable)
	}
	_, err := s.Read(ctx, []registry.Resource{thread("1")})
	require.ErrorIs(t, err, registry.ErrUnavailable)
	_, err = s.Claim(ctx, "t_a", thread("1"))
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Empty(t, owner(t, s, thread("1")))
}
