package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// oneThread is a thread that t_a created on the first of a month, and a ledger.
type oneThread struct {
	ownership.Store
	storedMoves
}

func createdByA(moves ...ownership.LedgerEntry) *oneThread {
	return &oneThread{storedMoves: storedMoves{all: moves}}
}

func (s *oneThread) Read(context.Context, []registry.Resource) (ownership.Snapshot, error) {
	created := ownership.Entry{Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{Time: onDay(1, 9), Source: "//test", ID: "c"}}
	return ownership.Snapshot{
		Records: []ownership.Record{{History: ownership.History{created}}}, Ledger: ownership.NewLedger(int64(len(s.all)), s.all),
	}, nil
}

// thread is the one.
var thread = registry.Resource{Kind: registry.Thread, ID: "th_1"}

func onDay(day, hour int) time.Time { return time.Date(2026, 1, day, hour, 0, 0, 0, time.UTC) }

// wholeMove is a move of a whole tenant, with the time of its commit.
func wholeMove(id, from, to string, at, committed time.Time) ownership.LedgerEntry {
	m := ownership.LedgerEntry{From: from, To: to, ChangedAt: committed}
	m.Version = ownership.Version{Time: at, Source: "//test", ID: id}
	return m
}

// takenBackAt is a move that was retracted.
func takenBackAt(m ownership.LedgerEntry, at time.Time) ownership.LedgerEntry {
	m.ChangedAt, m.Retractions = at, []ownership.Said{{At: at, By: "bob", Why: "wrong tenant"}}
	return m
}

func TestADaySaysWhoOwnedItOneAfterTheOther(t *testing.T) {
	s := createdByA(takenBackAt(wholeMove("friday", "t_a", "t_b", onDay(2, 17), onDay(2, 17)), onDay(2, 20)),
		takenBackAt(wholeMove("on", "t_b", "t_d", onDay(2, 18), onDay(2, 18)), onDay(2, 19)),
		wholeMove("after", "t_a", "t_c", onDay(3, 8), onDay(3, 8)))
	on := func(day int) *then {
		found, err := ownersDuring(t.Context(), s, s, thread, onDay(day, 0), onDay(day+1, 0))
		require.NoError(t, err)
		return found
	}
	second := on(2)
	require.Equal(t, []during{
		{onDay(2, 0), onDay(2, 17), "t_a"}, {onDay(2, 17), onDay(2, 18), "t_b"}, {onDay(2, 18), onDay(2, 19), "t_d"},
		{onDay(2, 19), onDay(2, 20), "t_b"}, {onDay(2, 20), onDay(3, 0), "t_a"},
	}, second.During)
	require.Len(t, second.Retracted, 2)
	require.Empty(t, second.Unsure)
	first := on(1)
	require.Equal(t, []during{{onDay(1, 0), onDay(1, 9), ""}, {onDay(1, 9), onDay(2, 0), "t_a"}}, first.During)
	require.Empty(t, first.Retracted)
	require.Equal(t, []during{{onDay(4, 0), onDay(5, 0), "t_c"}}, on(4).During)

	var out bytes.Buffer
	require.NoError(t, second.print(&out, thread))
	require.Contains(t, out.String(), "on 2026-01-02 (UTC), thread/th_1:\n")
	require.Contains(t, out.String(), "2026-01-02T17:00:00Z  2026-01-02T18:00:00Z  t_b\n")
	require.Contains(t, out.String(), "by bob: wrong tenant\n")
}

func TestOnlyAMoveThatMakesADifferenceIsUncertain(t *testing.T) {
	unsure := func(at time.Time, moves ...ownership.LedgerEntry) []string {
		s := createdByA(moves...)
		found, err := ownerAt(t.Context(), s, s, thread, at)
		require.NoError(t, err)
		return found.Unsure
	}
	late := func(id, from, to string) ownership.LedgerEntry {
		return wholeMove(id, from, to, onDay(2, 0), onDay(9, 0))
	}
	require.Empty(t, unsure(onDay(3, 0), late("other", "t_x", "t_b")), "it has never been t_x's")
	require.Len(t, unsure(onDay(3, 0), late("m", "t_a", "t_b")), 1)
	require.Empty(t, unsure(onDay(9, 1), late("m", "t_a", "t_b")), "it was known by then")
}
