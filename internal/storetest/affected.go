package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func affectedDocuments(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	for i := range 7 {
		changes = append(changes, created(thread(fmt.Sprint(i)), "t_a", 1, fmt.Sprint("e", i)))
	}
	apply(t, s, append(changes, created(canvas("other"), "t_x", 1, "ex"))...)
	apply(t, s, moved(thread("3"), "t_a", "t_x", 2, "m"))
	b.SetPlain("canvas__plain", "t_a", false)
	b.SetPlain("thread__0", "t_x", true)

	names := affectedNames(t, s, ownership.Page{Tenants: []string{"t_a"}, Limit: 3})
	want := []string{"canvas__plain", "thread__0", "thread__1", "thread__2", "thread__3", "thread__4", "thread__5", "thread__6"}
	require.Equal(t, want, names, "each once, in order, also those that passed through the tenant")
	count, err := s.CountAffected(context.Background(), []string{"t_a"})
	require.NoError(t, err)
	require.EqualValues(t, len(want), count)
	count, err = s.CountAffected(context.Background(), []string{"t_a", "t_x"})
	require.NoError(t, err)
	require.EqualValues(t, len(want)+1, count)
	count, err = s.CountAffected(context.Background(), []string{"t_nobody"})
	require.NoError(t, err)
	require.Zero(t, count)
}

// affectedNames reads page after page.
func affectedNames(t *testing.T, s ownership.Rewriter, page ownership.Page) (names []string) {
	t.Helper()
	for {
		records, more, err := s.Affected(context.Background(), page)
		require.NoError(t, err)
		require.LessOrEqual(t, len(records), page.Limit)
		for _, r := range records {
			names = append(names, r.Document)
		}
		if !more {
			return names
		}
		page.After = names[len(names)-1]
	}
}

// More than the tenants that one query can ask for, and documents that several of
// them have had.
func affectedOfMany(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	var tenants, want []string
	for i := range 40 {
		tenants = append(tenants, fmt.Sprintf("t_%02d", i))
		for j := range 2 {
			r := thread(fmt.Sprintf("%d-%02d", j, i))
			changes = append(changes, created(r, tenants[i], 1, "e"+r.ID))
			want = append(want, r.DocumentID())
		}
	}
	apply(t, s, changes...)
	apply(t, s, moved(thread("0-03"), "t_03", "t_33", 2, "m"), created(thread("9"), "t_other", 1, "other"))
	slices.Sort(want)
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 7}))
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 100}))
	require.Equal(t, want, affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 100, Bytes: 1000}))
	require.Equal(t, want[3:70], affectedNames(t, s, ownership.Page{Tenants: tenants, Limit: 7, After: want[2], UpTo: want[69]}))
	records, more, err := s.Affected(context.Background(), ownership.Page{Tenants: tenants, Limit: 100, Bytes: 1})
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, records, 1, "one at least")
	count, err := s.CountAffected(context.Background(), tenants)
	require.NoError(t, err)
	require.EqualValues(t, len(want)+1, count, "one is in two parts")
}

func affected(t *testing.T, s ownership.Rewriter, tenant string) []ownership.Record {
	t.Helper()
	records, _, err := s.Affected(context.Background(), ownership.Page{Tenants: []string{tenant}, Limit: 100})
	require.NoError(t, err)
	return records
}

func rewriting(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"), created(thread("3"), "t_a", 9, "e3"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"), tenantMoved("t_b", "t_a", 6, "back"), tenantMoved("t_x", "t_a", 6, "m2"))
	claim(t, s, "w")
	b.SetPlain("not a name", "t_a", false)
	written, err := s.Rewrite(context.Background(), affected(t, s, "t_a"))
	require.NoError(t, err)
	require.Equal(t, 2, written)
	record, _ := read(t, s, thread("1"))
	require.Equal(t, "t_a", record.TenantID)
	require.Equal(t, []string{"t_b", "t_a"}, record.Path, "the path is rewritten also if the owner is the same")
	require.Empty(t, b.Feed(), "no history changes")
	written, err = s.Rewrite(context.Background(), affected(t, s, "t_a"))
	require.NoError(t, err)
	require.Zero(t, written)

	retract(t, b.Open(), "back")
	job := claim(t, b.Open(), "w")
	require.Equal(t, "m", job.Entry.ID)
	written, err = s.Rewrite(context.Background(), affected(t, s, "t_b"))
	require.NoError(t, err)
	require.LessOrEqual(t, written, 2)
}

func rewritingPlain(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	b.SetPlain("thread__1", "t_p", true)
	b.SetPlain("thread__2", "t_p", false)
	move := tenantMoved("t_p", "t_q", 0, "m")
	move.Entry.Time = time.Now().Add(time.Minute)
	apply(t, s, move)
	claim(t, s, "w")
	written, err := s.Rewrite(context.Background(), affected(t, s, "t_p"))
	require.NoError(t, err)
	require.Equal(t, 2, written)
	for _, id := range []string{"1", "2"} {
		record, ledger := read(t, s, thread(id))
		require.Equal(t, "t_q", record.TenantID)
		require.False(t, record.Plain)
		require.Equal(t, ownership.Asserted, record.History[len(record.History)-1].Type)
		require.Equal(t, "t_q", record.History.Owner(ledger))
	}
	require.Equal(t, ownership.Applied, retract(t, s, "m"))
	require.Equal(t, "t_p", owner(t, s, thread("2")), "what the plain set said is known still")
}

func rewritingRace(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"))
	claim(t, s, "w")
	records := affected(t, s, "t_a")
	apply(t, b.Open(), moved(thread("1"), "t_a", "t_z", 3, "named"))
	written, err := s.Rewrite(context.Background(), records)
	require.NoError(t, err)
	require.LessOrEqual(t, 1, written)
	for id, want := range map[string]string{"1": "t_z", "2": "t_b"} {
		record, ledger := read(t, s, thread(id))
		require.Equal(t, want, record.TenantID)
		require.Equal(t, want, record.History.Owner(ledger))
	}
}
