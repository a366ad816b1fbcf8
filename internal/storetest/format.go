package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// later is a format that this version does not know.
const later = ownership.Format + 1

// requireTooNew checks that an outcome is one that is tried again, by a later
// release.
func requireTooNew(t *testing.T, outcomes ...ownership.Outcome) {
	t.Helper()
	for _, o := range outcomes {
		require.Equal(t, ownership.Failed, o.Kind)
		requireUnread(t, o.Err)
	}
}

func requireUnread(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, registry.ErrTooNew)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "docs/upgrades.md")
}

func laterDocument(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	record, _ := read(t, s, thread("1"))
	require.EqualValues(t, 1, record.Format, "what this release writes")
	b.SetFormat("thread__1", later)
	before, ledger := read(t, s, thread("1"))
	_, err := before.Owner(ledger)
	requireUnread(t, err)
	require.ErrorContains(t, err, "thread__1")

	outcomes := s.Apply(ctx, []ownership.Change{
		created(thread("1"), "t_a", 1, "e1"), moved(thread("1"), "t_a", "t_b", 2, "m1"), moved(thread("2"), "t_a", "t_b", 2, "m1"),
	})
	requireTooNew(t, outcomes[:2]...)
	require.Equal(t, ownership.Applied, outcomes[2].Kind, "others go on")
	requireTooNew(t, b.Open().Apply(ctx, []ownership.Change{created(thread("1"), "t_a", 1, "e1")})...)
	for _, tenant := range []string{"t_a", "t_b"} {
		_, err = s.Claim(ctx, tenant, thread("1"))
		requireUnread(t, err)
	}
	after, _ := read(t, s, thread("1"))
	require.Equal(t, before.UpdateTime, after.UpdateTime, "nobody has written it")

	unread := 0
	require.NoError(t, s.Export(ctx, func(r ownership.Record, l *ownership.Ledger) error {
		if r.Unread != nil {
			unread++
			require.Equal(t, "thread__1", r.Document)
		}
		return nil
	}))
	require.Equal(t, 1, unread)

	b.SetPlain("thread__1", "t_p", false)
	require.Equal(t, "t_p", owner(t, s, thread("1")), "a plain set erases the format with all else")
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
}

func laterMove(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_x", "t_y", 2, "m1"))
	b.SetMoveFormat("//nexus", "m1", later)
	for _, s := range []Store{s, b.Open()} { // one that goes on, and one that starts
		record, ledger := read(t, s, thread("1"))
		_, err := record.Owner(ledger)
		requireUnread(t, err)
		record, ledger = read(t, s, thread("none"))
		_, err = record.Owner(ledger)
		requireUnread(t, err)
		_, err = s.Claim(ctx, "t_a", thread("none"))
		requireUnread(t, err)
		requireTooNew(t, s.Apply(ctx, []ownership.Change{moved(thread("1"), "t_a", "t_b", 3, "m2"), tenantMoved("t_x", "t_y", 2, "m1")})...)
		requireTooNew(t, s.Apply(ctx, []ownership.Change{created(thread("none"), "t_a", 3, "e3")})...)
		record, _ = read(t, s, thread("none"))
		require.False(t, record.Exists(), "what cannot be folded is not created either")
		requireTooNew(t, s.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m1"}, "", "")})[0])

		all, err := s.Moves(ctx)
		require.NoError(t, err)
		require.Len(t, all, 1, "moves are listed")
		requireUnread(t, all[0].Unread)
		batch, _ := follow(t, s).read()
		require.NotNil(t, batch.Ledger.Blocked())
	}
	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_c", "t_d", 4, "m3")), "the ledger itself needs no fold")
	_, err := LeaseJob(ctx, s, "worker", time.Minute)
	requireUnread(t, err)
}

func unreadableMove(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_b", 1, "e2"), created(thread("3"), "t_c", 1, "e3"),
		tenantMoved("t_a", "t_d", 2, "m1"), tenantMoved("t_b", "t_a", 3, "m2"))
	b.SetMoveFormat("//nexus", "m1", ownership.Format)
	for _, r := range []registry.Resource{thread("1"), thread("2")} {
		record, ledger := read(t, s, r)
		_, err := record.Owner(ledger)
		requireUnread(t, err)
		_, ok := brief(record.History).Owner(ledger)
		require.False(t, ok, "nor from memory")
		require.False(t, record.History.Reliable(ledger))
		requireTooNew(t, s.Apply(ctx, []ownership.Change{moved(r, "t_a", "t_b", 9, "m3")})...)
	}
	outcomes := s.Apply(ctx, []ownership.Change{created(thread("4"), "t_b", 1, "e4"), created(thread("5"), "t_c", 1, "e5")})
	requireTooNew(t, outcomes[0])
	require.Equal(t, ownership.Applied, outcomes[1].Kind)
	record, _ := read(t, s, thread("4"))
	require.False(t, record.Exists(), "what cannot be folded is not created either")
	require.Equal(t, "t_c", owner(t, s, thread("3")), "whose fold does not pass through the tenant goes on")
	require.Equal(t, kinds(ownership.Applied), apply(t, s, moved(thread("3"), "t_c", "t_e", 9, "m4")))
	requireTooNew(t, s.Apply(ctx, []ownership.Change{moved(thread("3"), "t_e", "t_a", 10, "m5")})...)
	require.Equal(t, "t_e", owner(t, s, thread("3")))
}

func brief(h ownership.History) ownership.Brief {
	b, ok := h.Brief()
	if !ok {
		panic("no brief")
	}
	return b
}

func rewritingPassesOver(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	apply(t, s, tenantMoved("t_a", "t_b", 3, "m"))
	b.SetFormat("thread__1", later)
	job := claim(t, s, "worker")
	records, _, err := s.Affected(ctx, ownership.Page{Tenants: job.Entry.Rewriting.Tenants, Limit: 10})
	require.NoError(t, err)
	require.Len(t, records, 2)
	n, err := s.Rewrite(ctx, records)
	requireUnread(t, err)
	require.Equal(t, 1, n, "the others are not held up")
	require.Equal(t, "t_a", written(t, s, thread("1")))
	require.Equal(t, "t_b", written(t, s, thread("2")))
}

func jobsArePassedOver(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 1, "m1"), tenantMoved("t_c", "t_d", 2, "m2"), tenantMoved("t_e", "t_f", 3, "m3"))
	passed := []int64{1}
	for _, want := range []string{"m2", "m3"} {
		job, err := LeaseJob(ctx, s, "worker", time.Minute, passed...)
		require.NoError(t, err)
		require.Equal(t, want, job.Entry.ID, "in the order of commits, except for those")
		passed = append(passed, job.Entry.Position)
	}
	_, err := LeaseJob(ctx, s, "worker", time.Minute, passed...)
	require.ErrorIs(t, err, ownership.ErrNoJob)
	require.Equal(t, "m1", claim(t, s, "worker").Entry.ID, "it waits")
}

func headSaysWho(t *testing.T, b Backend) {
	ctx, s := context.Background(), b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_x", "t_y", 2, "m1"))
	for field, reads := range map[string]bool{"format": false, "min_reader": false, "min_writer": true} {
		b.SetHead(field, later)
		_, readErr := s.Read(ctx, []registry.Resource{thread("1")})
		_, feedErr := s.Changes(ctx, ownership.NewFeedCursor(nil))
		exportErr := s.Export(ctx, func(ownership.Record, *ownership.Ledger) error { return nil })
		for operation, err := range map[string]error{"read": readErr, "changes": feedErr, "export": exportErr} {
			if reads {
				require.NoError(t, err, "%s, %s", field, operation)
			} else {
				requireIncompatible(t, err, field, operation)
			}
		}
		_, err := s.Claim(ctx, "t_a", thread("2"))
		requireIncompatible(t, err, field, "claim")
		requireIncompatible(t, s.Apply(ctx, []ownership.Change{tenantMoved("t_b", "t_c", 3, "m2")})[0].Err, field, "move")
		requireIncompatible(t, s.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m1"}, "", "")})[0].Err, field, "retract")
		_, err = LeaseJob(ctx, s, "worker", time.Minute)
		requireIncompatible(t, err, field, "lease a job")
		b.SetHead(field, 1)
	}
	_, err := s.Claim(ctx, "t_a", thread("2"))
	require.NoError(t, err, "it goes on when it may")
}

func requireIncompatible(t *testing.T, err error, field, operation string) {
	t.Helper()
	require.ErrorIs(t, err, registry.ErrIncompatible, "%s, %s", field, operation)
	require.ErrorIs(t, err, registry.ErrUnavailable, "%s, %s", field, operation)
}
