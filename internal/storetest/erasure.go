package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Eraser is what an erasure takes of a store beside the rewriting.
type Eraser interface {
	Forget(ctx context.Context, records []ownership.Record, f ownership.Forget) (ownership.Forgotten, error)
	Empty(ctx context.Context, name ownership.EventName) error
	DropSnapshot(ctx context.Context) error
	Knows(ctx context.Context, tenant string) (bool, error)
}

const leaver = "t_leaver"

// leaves has the ledger say that the leaver is being erased.
func leaves(t *testing.T, b Backend, s Store) ownership.Forget {
	t.Helper()
	key := ownership.NewErasureKey()
	name := key.Entry()
	changes := []ownership.LedgerChange{
		ownership.Retraction(ownership.Version{Source: name.Source, ID: name.ID}, "op", "").Entry.LedgerChange(),
		key.BeginErasure(leaver, "op", ""),
	}
	for _, o := range b.ChangeLedger(s, changes) {
		require.Equal(t, ownership.Applied, o.Kind, o.Err)
	}
	return ownership.Forget{Tenant: leaver, Pseudonym: key.Pseudonym(leaver), Key: key, At: second(50)}
}

// has returns the records on whose path the leaver is.
func has(t *testing.T, s Store) []ownership.Record {
	t.Helper()
	records, more, err := s.Affected(context.Background(), ownership.Page{Tenants: []string{leaver}, Limit: 1000})
	require.NoError(t, err)
	require.False(t, more)
	return records
}

func forget(t *testing.T, s Store, records []ownership.Record, f ownership.Forget) ownership.Forgotten {
	t.Helper()
	done, err := s.Forget(context.Background(), records, f)
	require.NoError(t, err)
	return done
}

func requireNameless(t *testing.T, b Backend, r registry.Resource) {
	t.Helper()
	require.NotContains(t, fmt.Sprint(b.Fields(r.DocumentID())), leaver)
}

func forgottenIsDeleted(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("own"), leaver, 1, "of-"+leaver), created(thread("got"), "t_a", 1, "e2"), moved(thread("got"), "t_a", leaver, 2, "m"),
		created(thread("else"), "t_a", 1, "e3"))
	_, err := s.Claim(context.Background(), leaver, canvas("claimed"), registry.ForEvent("//of "+leaver, "e"))
	require.NoError(t, err)
	b.SetPlain("canvas__plain", leaver, false)
	b.SetField("thread__own", "note", "of "+leaver)
	f := leaves(t, b, s)
	feed := len(b.Feed())

	require.Equal(t, ownership.Forgotten{Written: 4, Deleted: 4}, forget(t, s, has(t, s), f))
	for _, r := range []registry.Resource{thread("own"), thread("got"), canvas("claimed"), canvas("plain")} {
		fields := b.Fields(r.DocumentID())
		require.Contains(t, fields, "expires_at")
		delete(fields, "expires_at")
		require.Equal(t, map[string]any{
			"tenant_id": nil, "history": []any{map[string]any{"type": "deleted", "time": "2024-01-01T00:00:50Z"}}, "format": int64(3),
		}, fields, "a tombstone as any other: it names nobody")
		_, err := b.Open().Owner(context.Background(), r)
		require.ErrorIs(t, err, registry.ErrNotFound)
	}
	require.ElementsMatch(t, []registry.Resource{thread("own"), thread("got"), canvas("claimed"), canvas("plain")}, b.Feed()[feed:], "caches are told")
	require.Equal(t, "t_a", owner(t, s, thread("else")))
	require.Empty(t, has(t, s))
	require.Equal(t, kinds(ownership.Gone), apply(t, b.Open(), created(thread("own"), leaver, 1, "of-"+leaver)), "nothing revives it")
}

func forgottenKeepsItsEffect(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("given"), leaver, 1, "e1-"+leaver), moved(thread("given"), leaver, "t_b", 2, "m1"),
		created(thread("through"), "t_a", 1, "e2"), moved(thread("through"), "t_a", leaver, 2, "m2"), moved(thread("through"), leaver, "t_c", 3, "m3"),
		created(thread("named"), "t_d", 1, "e3"), moved(thread("named"), leaver, "t_e", 2, "idle"), // without effect
		created(thread("displaced"), leaver, 5, "e4"))
	apply(t, s, created(thread("displaced"), "t_f", 4, "e5"))
	f := leaves(t, b, s)
	want := map[string]string{"given": "t_b", "through": "t_c", "named": "t_d", "displaced": "t_f"}
	records := has(t, s)
	for _, id := range []string{"named", "displaced"} { // off its path: a search finds them
		record, _ := read(t, s, thread(id))
		records = append(records, record)
	}
	require.Equal(t, ownership.Forgotten{Written: 4}, forget(t, s, records, f))
	for id, tenant := range want {
		require.Equal(t, tenant, owner(t, b.Open(), thread(id)))
		require.Equal(t, tenant, written(t, s, thread(id)))
		requireNameless(t, b, thread(id))
		require.NotContains(t, b.Fields(thread(id).DocumentID()), "expires_at", "who owns it keeps it")
	}
	require.Equal(t, kinds(ownership.Duplicate, ownership.Duplicate, ownership.Duplicate), apply(t, b.Open(),
		created(thread("given"), leaver, 1, "e1-"+leaver), moved(thread("through"), leaver, "t_c", 3, "m3"), moved(thread("named"), leaver, "t_e", 2, "idle")),
		"events that come again are known under the other name")
	require.Equal(t, ownership.Forgotten{}, forget(t, s, records[:0], f), "and there is nothing left to do")
}

func forgettingYields(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), leaver, 1, "e1"), created(thread("2"), leaver, 1, "e2"))
	f := leaves(t, b, s)
	old := has(t, s)
	require.Len(t, old, 2)
	apply(t, b.Open(), moved(thread("1"), leaver, "t_b", 2, "m"))
	require.Equal(t, "t_b", owner(t, s, thread("1")))
	done := forget(t, s, old, f)
	require.Equal(t, 1, done.Deleted, "what another tenant has by now is not deleted")
	require.Equal(t, "t_b", owner(t, s, thread("1")))
	requireNameless(t, b, thread("1"))
	require.Empty(t, owner(t, s, thread("2")))
}

func forgettingPassesOver(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), leaver, 1, "e1"), created(thread("2"), leaver, 1, "e2"))
	f := leaves(t, b, s)
	b.SetFormat("thread__1", ownership.Format+1)
	done, err := s.Forget(context.Background(), has(t, s), f)
	require.ErrorIs(t, err, registry.ErrTooNew)
	require.Equal(t, ownership.Forgotten{Written: 1, Deleted: 1}, done, "the others are written")
	require.Equal(t, leaver, written(t, s, thread("1")))
	require.Empty(t, written(t, s, thread("2")))
}

func erasedTenantHasNothing(t *testing.T, b Backend) {
	s := b.Open()
	known, err := s.Knows(context.Background(), leaver)
	require.NoError(t, err)
	require.False(t, known)
	apply(t, s, created(thread("had"), leaver, 1, "e"))
	f := leaves(t, b, s)
	other := b.Open()
	_, err = other.Claim(context.Background(), leaver, thread("had"))
	require.ErrorIs(t, err, registry.ErrConflict, "not even what it still has")
	_, err = other.Claim(context.Background(), leaver, thread("claimed"))
	require.ErrorIs(t, err, registry.ErrConflict)
	require.Equal(t, kinds(ownership.Applied), apply(t, other, created(thread("late"), leaver, 1, "e-"+leaver)))
	require.Equal(t, f.Pseudonym, owner(t, s, thread("late")), "nobody's")
	requireNameless(t, b, thread("late"))
	require.Contains(t, b.Fields("thread__late"), "expires_at")
	require.Equal(t, kinds(ownership.Applied), apply(t, other, moved(thread("late"), leaver, "t_b", 2, "m")))
	require.Equal(t, "t_b", owner(t, s, thread("late")), "a move that comes late counts")
	require.NotContains(t, b.Fields("thread__late"), "expires_at")
	known, err = s.Knows(context.Background(), leaver)
	require.NoError(t, err)
	require.True(t, known)
}

func erasedMovesKeepTheirEffect(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), leaver, 1, "e1"), tenantMoved(leaver, "t_b", 2, "away-from-"+leaver), tenantMoved("t_b", "t_c", 3, "m"), tenantMoved("t_d", leaver, 4, "n"))
	f := leaves(t, b, s)
	for _, m := range stored(t, s) {
		if !m.Named(leaver) || m.OfErasure() {
			continue
		}
		changes, emptied := m.Rename(leaver, f.Pseudonym)
		for _, o := range b.ChangeLedger(s, changes) {
			require.Equal(t, ownership.Applied, o.Kind, o.Err)
		}
		if emptied {
			require.NoError(t, s.Empty(context.Background(), m.EventName()))
		}
		require.Equal(t, "t_c", owner(t, s, thread("1")))
	}
	forget(t, s, has(t, s), f)
	require.Equal(t, ownership.Applied, b.ChangeLedger(s, []ownership.LedgerChange{f.Key.EndErasure(leaver)})[0].Kind)
	require.NoError(t, s.DropSnapshot(context.Background()))
	for _, m := range stored(t, s) {
		require.False(t, m.Named(leaver), "%+v", m)
		require.NotContains(t, strings.ToLower(fmt.Sprintf("%+v", m)), leaver)
	}
	fresh := b.Open()
	require.Equal(t, "t_c", owner(t, fresh, thread("1")))
	require.Equal(t, kinds(ownership.Duplicate, ownership.Duplicate), apply(t, fresh, tenantMoved(leaver, "t_b", 2, "away-from-"+leaver), tenantMoved("t_d", leaver, 4, "n")))
	require.Equal(t, ownership.Applied, retract(t, fresh, ownership.RenamedText("away-from-"+leaver, leaver, f.Pseudonym)), "it can be taken back")
	require.Equal(t, f.Pseudonym, owner(t, fresh, thread("1")))
	for _, m := range stored(t, s) {
		require.False(t, m.Named(leaver), "%+v", m)
	}
}

// The process that erases has not heard of it: the answer to its change of the ledger was
// lost. What left with a move of all that the tenant had is somebody else's.
func forgottenByTheLedgerOfTheErasure(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("left"), leaver, 1, "e1"), tenantMoved(leaver, "t_b", 2, "m"), created(thread("own"), leaver, 3, "e2"))
	_, err := s.Owner(context.Background(), thread("left")) // it holds a fresh ledger
	require.NoError(t, err)
	f := leaves(t, b, b.Open())

	require.Equal(t, ownership.Forgotten{Written: 2, Deleted: 1}, forget(t, s, has(t, s), f))
	owner, err := b.Open().Owner(context.Background(), thread("left"))
	require.NoError(t, err)
	require.Equal(t, "t_b", owner)
	requireNameless(t, b, thread("left"))
	requireNameless(t, b, thread("own"))
}
