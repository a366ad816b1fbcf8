package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func plainSet(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), moved(thread("1"), "t_a", "t_b", 2, "e2"))
	b.SetPlain("thread__1", "t_p", false)

	record, ledger := read(t, s, thread("1"))
	require.Equal(t, "t_p", record.History.Owner(ledger), "it overrides everything earlier")
	require.True(t, record.Plain)
	require.Len(t, record.History, 1, "and erases the history")
	require.Equal(t, ownership.Asserted, record.History[0].Type)
	require.Equal(t, record.UpdateTime, record.History[0].Time)

	require.Equal(t, kinds(ownership.Applied), apply(t, s, created(thread("1"), "t_a", 1, "e1")))
	require.Equal(t, "t_p", owner(t, s, thread("1")), "what was created earlier does not win over it")
	future := moved(thread("1"), "t_p", "t_q", 0, "e3")
	future.Entry.Time = record.UpdateTime.Add(time.Second)
	apply(t, s, future)
	require.Equal(t, "t_q", owner(t, s, thread("1")), "a later move applies")
	require.Equal(t, "t_q", written(t, s, thread("1")))
	record, _ = read(t, s, thread("1"))
	require.False(t, record.Plain, "the assertion is part of the stored history by now")
	require.Len(t, record.History, 3)
}

func plainSetFirst(t *testing.T, b Backend) {
	s := b.Open()
	b.SetPlain("canvas__1", "t_p", false)
	require.Equal(t, "t_p", owner(t, s, canvas("1")))
	require.Equal(t, kinds(ownership.Conflict), apply(t, s, created(canvas("0"), "t_a", 1, "e0"), created(canvas("0"), "t_p", 2, "e"))[1:])

	apply(t, s, created(canvas("1"), "t_p", 1, "e1"))
	require.Equal(t, "t_p", owner(t, s, canvas("1")))
	created, err := s.Claim(context.Background(), "t_p", canvas("1"))
	require.NoError(t, err)
	require.False(t, created)

	apply(t, s, tenantMoved("t_p", "t_q", 2, "m"))
	require.Equal(t, "t_p", owner(t, s, canvas("1")), "the assertion is later than the tenant's move")
	b.SetPlain("canvas__2", "t_r", false)
	late := tenantMoved("t_r", "t_s", 0, "m2")
	late.Entry.Time = time.Now().Add(time.Minute)
	apply(t, s, late)
	require.Equal(t, "t_s", owner(t, s, canvas("2")), "a later move of the whole tenant applies to it")
}

func plainMerge(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"))
	b.SetPlain("thread__1", "t_p", true)
	record, ledger := read(t, s, thread("1"))
	require.Equal(t, "t_p", record.History.Owner(ledger))
	require.True(t, record.Plain)
	require.Len(t, record.History, 2)

	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, created(thread("1"), "t_a", 1, "e1")))
	record, _ = read(t, s, thread("1"))
	require.False(t, record.Plain, "even a duplicate makes the assertion part of the history")
	require.Equal(t, "t_p", record.TenantID)
	require.Equal(t, []registry.Resource{thread("1")}, b.Feed(), "which is a change of the history")
	b.SetPlain("thread__1", "t_p", true)
	record, _ = read(t, s, thread("1"))
	require.False(t, record.Plain, "a plain set that changes nothing is invisible")
}

func feed(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 5, "e1"), created(thread("2"), "t_a", 5, "e2"))
	apply(t, s, created(thread("1"), "t_a", 5, "e1"), created(thread("1"), "t_a", 4, "earlier"), created(thread("2"), "t_x", 9, "conflict"))
	apply(t, s, tenantMoved("t_q", "t_r", 3, "m"))
	require.Empty(t, b.Feed(), "creations of one tenant, conflicts and the ledger need no entry")

	apply(t, s, moved(thread("1"), "t_a", "t_b", 6, "m1"))
	require.Equal(t, []registry.Resource{thread("1")}, b.Feed())
	apply(t, s, moved(thread("1"), "t_a", "t_b", 6, "m1"))
	require.Len(t, b.Feed(), 1, "a duplicate is no change")
	apply(t, s, moved(thread("1"), "t_z", "t_y", 7, "m2"))
	require.Len(t, b.Feed(), 2, "a move that has no effect is one: with another ledger it may have")
	apply(t, s, created(thread("2"), "t_x", 1, "smaller"))
	require.Equal(t, thread("2"), b.Feed()[2])
	b.SetPlain("thread__3", "t_p", false)
	apply(t, s, created(thread("3"), "t_p", 1, "same"))
	require.Len(t, b.Feed(), 3)
	apply(t, s, created(thread("3"), "t_p", 1, "same"))
	b.SetPlain("thread__4", "t_p", false)
	apply(t, s, created(thread("4"), "t_other", 1, "other"))
	require.Equal(t, thread("4"), b.Feed()[3])
}

func export(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("b"), "t_a", 1, "1"), created(thread("B"), "t_a", 2, "2"), created(thread("a-"), "t_a", 3, "3"),
		created(thread("a"), "t_a", 4, "4"), created(canvas("z"), "t_c", 5, "5"), created(thread("10"), "t_a", 6, "6"), created(thread("9"), "t_a", 7, "7"))
	apply(t, s, tenantMoved("t_a", "t_b", 50, "m"))
	b.SetPlain("stray", "t_a", false)
	b.SetPlain("thread__é", "t_a", false)
	b.SetPlain("thread__x", "Not A Tenant", false)
	var names []string
	err := s.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		names = append(names, r.Document)
		if r.Resource.Kind == registry.Thread && r.TenantID == "t_a" {
			require.Equal(t, "t_b", r.History.Owner(l))
		}
		require.Equal(t, r.Document == "stray" || r.Document == "thread__é", r.Resource == registry.Resource{})
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"canvas__z", "stray", "thread__10", "thread__9", "thread__B", "thread__a", "thread__a-", "thread__b", "thread__x", "thread__é"}, names)
}

func exportEnds(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "1"), created(thread("2"), "t_a", 2, "2"))
	stop, visits := errors.New("enough"), 0
	err := s.Export(context.Background(), func(ownership.Record, *ownership.Ledger) error {
		visits++
		return stop
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, 1, visits)
}
