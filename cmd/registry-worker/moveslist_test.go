package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// frugalStore counts the entries of the ledger that are read, and refuses to read all.
type frugalStore struct {
	registryStore
	t    *testing.T
	read int
}

func (s *frugalStore) Moves(context.Context) ([]ownership.LedgerEntry, error) {
	s.t.Fatal("it reads the whole ledger")
	return nil, nil
}

func (s *frugalStore) counted(entries []ownership.LedgerEntry, err error) ([]ownership.LedgerEntry, error) {
	s.read += len(entries)
	return entries, err
}

func (s *frugalStore) MovesNamed(ctx context.Context, names []ownership.EventName) ([]ownership.LedgerEntry, error) {
	return s.counted(s.registryStore.MovesNamed(ctx, names))
}

func (s *frugalStore) PendingMoves(ctx context.Context, after int64, limit int) ([]ownership.LedgerEntry, error) {
	return s.counted(s.registryStore.PendingMoves(ctx, after, limit))
}

func (s *frugalStore) ParkedMoves(ctx context.Context, before int64, limit int) ([]ownership.LedgerEntry, error) {
	return s.counted(s.registryStore.ParkedMoves(ctx, before, limit))
}

// ledgerOfTwelve has the moves m0 to m11, from t_a0 … to t_b, of 2024-01-01 and the
// days after it, at the positions 1 to 12. The jobs of the first six are done, those of
// the next two are parked. Then m3 is retracted.
func ledgerOfTwelve(t *testing.T) (*frugalStore, storetest.Outside) {
	store := memregistry.New()
	var changes []ownership.Change
	for i := range 12 {
		changes = append(changes, ownership.Change{Entry: ownership.Entry{
			Type: ownership.Moved, From: fmt.Sprint("t_a", i), To: "t_b",
			Version: ownership.Version{Time: time.Date(2024, 1, 1+i, 0, 0, 0, 0, time.UTC), Source: "//test", ID: fmt.Sprint("m", i)},
		}})
	}
	for _, o := range store.Apply(t.Context(), changes) {
		require.Equal(t, ownership.Applied, o.Kind, o.Err)
	}
	for i := range 8 {
		job, err := storetest.LeaseJob(t.Context(), store, "w", time.Minute)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("m", i), job.Entry.ID)
		job.Entry.Rewriting.State = ownership.RewritingDone
		for range ownership.MostTries {
			if i >= 6 {
				job.Entry.Rewriting = job.Entry.Rewriting.FailedAt(job.Now, "no", false)
			}
		}
		_, err = store.SaveJob(t.Context(), job)
		require.NoError(t, err)
	}
	o := store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//test", ID: "m3"}, "ops", "")})[0]
	require.Equal(t, ownership.Applied, o.Kind, o.Err)
	return &frugalStore{registryStore: store, t: t}, storetest.Outside{DB: store.DB()}
}

func day(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }

func TestAListOfMovesHasThePageThatIsAskedForAndReadsNothingElse(t *testing.T) {
	store, _ := ledgerOfTwelve(t)
	for _, test := range []struct {
		name   string
		filter moveFilter
		ids    string
		next   int64
		read   int
	}{
		{"the last change first", moveFilter{limit: 3}, "m3 m11 m10", 11, 3},
		{"the next page", moveFilter{limit: 3, behind: 11}, "m9 m8 m7", 8, 3},
		{"the last page", moveFilter{limit: 3, behind: 4}, "m2 m1 m0", 0, 3},
		{"all", moveFilter{}, "m3 m11 m10 m9 m8 m7 m6 m5 m4 m2 m1 m0", 0, 12},
		{"away from a tenant", moveFilter{tenant: "t_a4", limit: 50}, "m4", 0, 1},
		{"to a tenant", moveFilter{tenant: "t_b", limit: 2}, "m3 m11", 12, 2},
		{"of nobody", moveFilter{tenant: "t_a", limit: 50}, "", 0, 0},
		{"by time", moveFilter{since: day(3), before: day(6), limit: 50}, "m3 m4 m2", 0, 3},
		{"retracted", moveFilter{state: config.MoveRetracted, limit: 50}, "m3", 0, 1},
		{"pending, in the order of the work", moveFilter{state: config.MovePending, limit: 2}, "m8 m9", 10, 2},
		{"pending, the next page", moveFilter{state: config.MovePending, limit: 3, behind: 10}, "m10 m11 m3", 13, 3},
		{"pending, behind all", moveFilter{state: config.MovePending, limit: 3, behind: 13}, "", 0, 0},
		{"pending, of a tenant", moveFilter{state: config.MovePending, tenant: "t_b", limit: 4, behind: 9}, "m9 m10 m11 m3", 0, 4},
		{"pending, by time", moveFilter{state: config.MovePending, since: day(11), limit: 1}, "m10", 11, 5},
		{"parked", moveFilter{state: config.MoveParked, limit: 50}, "m7 m6", 0, 2},
		{"parked, the next page", moveFilter{state: config.MoveParked, limit: 1, behind: 8}, "m6", 7, 1},
		{"parked, of a tenant", moveFilter{state: config.MoveParked, tenant: "t_a6", limit: 50}, "m6", 0, 1},
		{"done", moveFilter{state: config.MoveDone, limit: 4, behind: 7}, "m5 m4 m2 m1", 2, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			store.read = 0
			page, err := test.filter.page(t.Context(), store)
			require.NoError(t, err)
			var ids []string
			for _, m := range page.moves {
				ids = append(ids, m.ID)
			}
			require.Equal(t, test.ids, strings.Join(ids, " "))
			require.Equal(t, test.next, page.next)
			require.Equal(t, test.read, store.read, "entries that were read")
		})
	}
}

func TestAListOfMovesShowsWhatIsNotUnderstoodWhereItMayBelong(t *testing.T) {
	store, outside := ledgerOfTwelve(t)
	outside.SetMoveFormat("//test", "m0", ownership.Format+1)
	for want, filters := range map[bool][]moveFilter{
		true:  {{limit: 1}, {tenant: "t_other", limit: 50}, {since: day(9), limit: 50}},
		false: {{state: config.MoveDone, limit: 50}, {state: config.MovePending, limit: 50}, {state: config.MoveRetracted, limit: 50}},
	} {
		for _, f := range filters {
			page, err := f.page(t.Context(), store)
			require.NoError(t, err)
			shown := false
			for _, m := range page.moves {
				shown = shown || m.Unread != nil
			}
			require.Equal(t, want, shown, "%+v", f)
		}
	}
}

func TestAMoveIsLookedUpWithoutReadingTheOthers(t *testing.T) {
	store, outside := ledgerOfTwelve(t)
	for source, want := range map[string]int{"": 1, "//test": 1, "//other": 0} {
		store.read = 0
		found, err := movesWithID(t.Context(), store, "m4", source)
		require.NoError(t, err)
		require.Len(t, found, want)
		require.Equal(t, want, store.read)
	}
	outside.SetMoveFormat("//test", "m4", ownership.Format+1)
	found, err := movesWithID(t.Context(), store, "m4", "")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Error(t, found[0].Unread)
}

func TestMovesAreListedInPages(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	require.Contains(t, c.run(exitDone, "moves", "list").Stderr.String(), "no moves of whole tenants in ")
	c.replay(tenantMoved("m1", "2024-01-02T00:00:00Z", "t_a", "t_b"), tenantMoved("m2", "2024-01-03T00:00:00Z", "t_c", "t_d"),
		tenantMoved("m3", "2024-01-04T00:00:00Z", "t_b", "t_c"))
	list := func(args ...string) (ids, told string) {
		t.Helper()
		p := c.run(exitDone, append([]string{"moves", "list", "--json"}, args...)...)
		var all []string
		for line := range strings.Lines(p.Stdout.String()) {
			all = append(all, decoded[listedMove](t, line).ID)
		}
		return strings.Join(all, " "), p.Stderr.String()
	}
	ids, told := list("--limit", "2")
	require.Equal(t, "m3 m2", ids)
	require.Contains(t, told, "there may be more: the same command with --behind 2 goes on")
	ids, told = list("--limit", "2", "--behind", "2")
	require.Equal(t, "m1", ids)
	require.NotContains(t, told, "more")
	ids, _ = list("--tenant", "t_b")
	require.Equal(t, "m3 m1", ids)
	ids, _ = list("--state", "pending", "--before", "2024-01-04T00:00:00Z")
	require.Equal(t, "m1 m2", ids)
	require.Contains(t, c.run(exitDone, "moves", "list", "--state", "parked").Stderr.String(), "no such moves of whole tenants in ")
	require.Contains(t, c.run(exitUsage, "moves", "list", "--state", "old").Stderr.String(), "want pending, parked, done or retracted")
}
