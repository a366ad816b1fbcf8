package ownership_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// A name is used once: what becomes of a second content, for every kind of entry.
func TestASecondContentOfANameIsNeverADuplicate(t *testing.T) {
	first := moved("t_a", "t_b", 5, "m")
	for name, c := range map[string]struct {
		second     ownership.Entry
		want       ownership.OutcomeKind
		displaced  bool
		wantsOwner string
	}{
		"the same again":               {moved("t_a", "t_b", 5, "m"), ownership.Duplicate, false, "t_b"},
		"the same tenants, later":      {moved("t_a", "t_b", 6, "m"), ownership.Duplicate, false, "t_b"},
		"the same tenants, earlier":    {moved("t_a", "t_b", 4, "m"), ownership.Applied, false, "t_b"},
		"other tenants, later":         {moved("t_a", "t_c", 6, "m"), ownership.Conflict, false, "t_b"},
		"other tenants, the same time": {moved("t_a", "t_c", 5, "m"), ownership.Conflict, false, "t_b"},
		"other tenants, earlier":       {moved("t_a", "t_c", 4, "m"), ownership.Applied, true, "t_c"},
		"another from, earlier":        {moved("t_x", "t_b", 4, "m"), ownership.Inapplicable, true, "t_a"},
	} {
		t.Run("named: "+name, func(t *testing.T) {
			before := record(nil, nil).Update([]ownership.Entry{created("t_a", 1, "e"), first}, nil)
			u := record(before.History, nil).Update([]ownership.Entry{c.second}, nil)
			require.Equal(t, c.want, u.Outcomes[0].Kind)
			require.Equal(t, c.displaced, u.Outcomes[0].Displaced != nil)
			require.Equal(t, c.displaced, len(u.Displaced) == 1)
			require.Equal(t, c.wantsOwner, u.TenantID)
			requireBothContents(t, u.Outcomes[0])

			after := record(u.History, nil)
			after.Displaced = u.Displaced
			again := after.Update([]ownership.Entry{c.second}, nil).Outcomes[0]
			if c.want != ownership.Conflict {
				require.Equal(t, ownership.Duplicate, again.Kind, "it is known now")
			} else {
				require.Equal(t, c.want, again.Kind, "at every delivery")
			}
			if c.displaced {
				require.Equal(t, ownership.Conflict, after.Update([]ownership.Entry{first}, nil).Outcomes[0].Kind, "what lost its place is no duplicate")
			}
		})
		t.Run("ledger: "+name, func(t *testing.T) {
			before, _, _ := ownership.LedgerEntry{}.Merge(first, false)
			after, changed, o := before.Merge(c.second, true)
			want := c.want
			if want == ownership.Inapplicable {
				want = ownership.Applied // the ledger does not ask who owns what
			}
			require.Equal(t, want, o.Kind)
			require.Equal(t, want == ownership.Applied, changed)
			require.Equal(t, c.displaced, o.Displaced != nil)
			require.Equal(t, c.displaced, len(after.Displaced) == 1)
			requireBothContents(t, o)
		})
	}
}

func requireBothContents(t *testing.T, o ownership.Outcome) {
	t.Helper()
	if o.Kind == ownership.Conflict {
		require.Contains(t, o.Detail, "t_b", "what it said before")
		require.Contains(t, o.Detail, "t_c", "what it says now")
		require.Contains(t, o.Detail, "came twice with different content")
	}
}

func TestUnderTheNameOfARetractedMoveNothingElseIsTaken(t *testing.T) {
	e, _, _ := ownership.LedgerEntry{}.Merge(moved("t_a", "t_b", 5, "m"), false)
	e, _, _ = e.Merge(ownership.Retraction(ownership.Version{}, "kim", "").Entry, true)
	for _, second := range []int64{4, 5, 6} {
		after, changed, o := e.Merge(moved("t_a", "t_c", second, "m"), true)
		require.Equal(t, ownership.Conflict, o.Kind)
		require.Contains(t, o.Detail, "retracted; publish it under an id of its own")
		require.False(t, changed)
		require.Equal(t, e, after)
	}
	_, _, o := e.Merge(moved("t_a", "t_b", 5, "m"), true)
	require.Equal(t, ownership.Duplicate, o.Kind, "a redelivery is one")
	tombstone, _, _ := ownership.LedgerEntry{}.Merge(ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "", "").Entry, false)
	arrived, _, o := tombstone.Merge(moved("t_a", "t_b", 5, "m"), true)
	require.Equal(t, ownership.Applied, o.Kind, "a retraction may wait for its move")
	require.False(t, arrived.Counts())
}

// Who repeats a change whose answer was lost must hear of what it has displaced:
// it is a duplicate then.
func TestARepetitionHearsOfWhatItHasDisplaced(t *testing.T) {
	record := func(u ownership.Update) ownership.Record {
		r := ownership.NewRecord(thread.DocumentID(), u.TenantID, u.History, u.Path, u.LedgerPosition, time.Unix(100, 0))
		r.Displaced = u.Displaced
		return r
	}
	for name, c := range map[string]struct{ first, smaller ownership.Entry }{
		"a creation":   {created("t_a", 5, "e1"), created("t_b", 4, "e2")},
		"a named move": {moved("t_a", "t_b", 5, "m"), moved("t_a", "t_c", 4, "m")},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(ownership.Record{Resource: thread}.Update([]ownership.Entry{created("t_z", 9, "e"), c.first}, nil))
			u := r.Update([]ownership.Entry{c.smaller}, nil)
			lost := u.Outcomes[0].Displaced
			require.NotNil(t, lost)
			again := record(u).Update([]ownership.Entry{c.smaller}, nil)
			require.Equal(t, ownership.Duplicate, again.Outcomes[0].Kind)
			require.Equal(t, lost, again.Outcomes[0].Displaced)
		})
	}
	t.Run("a move of a whole tenant", func(t *testing.T) {
		first, _, _ := ownership.LedgerEntry{}.Merge(moved("t_a", "t_b", 5, "m"), false)
		smaller := moved("t_a", "t_c", 4, "m")
		second, _, o := first.Merge(smaller, true)
		require.NotNil(t, o.Displaced)
		_, changed, again := second.Merge(smaller, true)
		require.False(t, changed)
		require.Equal(t, ownership.Outcome{Kind: ownership.Duplicate, Displaced: o.Displaced}, again)
	})
}

func TestWhatIsDisplacedIsKeptTheFirstFirstAndBounded(t *testing.T) {
	e, _, _ := ownership.LedgerEntry{}.Merge(moved("t_a", "t_b", 5000, "m"), false)
	u := record(nil, nil).Update([]ownership.Entry{created("t_a", 1, "e"), moved("t_a", "t_b", 5000, "m")}, nil)
	r := record(u.History, nil)
	for i := range int64(3 * ownership.MaxDisplaced) {
		again := moved("t_a", fmt.Sprint("t_x", i), 4000-i, "m")
		e, _, _ = e.Merge(again, true)
		u = r.Update([]ownership.Entry{again}, nil)
		r.History, r.Displaced = u.History, u.Displaced
	}
	for _, displaced := range [][]ownership.Entry{e.Displaced, r.Displaced} {
		require.Len(t, displaced, ownership.MaxDisplaced)
		require.Equal(t, "t_b", displaced[0].To, "what was true before somebody displaced it over and over")
	}
}

func TestEverythingThatIsSaidOfARetractionIsKeptTheFirstSeenFirst(t *testing.T) {
	e, _, _ := ownership.LedgerEntry{}.Merge(moved("t_a", "t_b", 5, "m"), false)
	said := func(by, why string, second int64) ownership.Entry {
		return ownership.Retraction(ownership.Version{Time: at(second, "").Time, Source: "//nexus", ID: "m"}, by, why).Entry
	}
	e, changed, o := e.Merge(said("alice", "wrong tenant", 10), true)
	require.True(t, changed)
	require.Equal(t, ownership.Outcome{Kind: ownership.Applied}, o)
	e, changed, o = e.Merge(said("bob", "", 9), true)
	require.True(t, changed)
	require.Equal(t, ownership.Duplicate, o.Kind)
	require.Contains(t, o.Detail, "alice", "who comes second is told who was first")
	_, changed, o = e.Merge(said("alice", "wrong tenant", 10), true)
	require.False(t, changed)
	require.Equal(t, ownership.Outcome{Kind: ownership.Duplicate}, o)
	require.Equal(t, []string{"alice", "bob"}, []string{e.Retractions[0].By, e.Retractions[1].By}, "an earlier time rewrites nothing")

	for i := range int64(ownership.MaxRetractions) {
		e, _, o = e.Merge(said("mallory", fmt.Sprint(i), 100+i), true)
	}
	require.Equal(t, ownership.HistoryFull, o.Kind)
	require.Len(t, e.Retractions, ownership.MaxRetractions)
	require.Equal(t, "alice", e.Retractions[0].By)
}

// An operator whose command was not answered gives it again, later, and is told the same
// as if it had been the first: but the entry says it once.
func TestWhatIsSaidAgainOfARetractionIsKeptOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"", "a", "b"})
		var e ownership.LedgerEntry
		var want []string // the first seen first
		exists := false
		for second := range int64(rapid.IntRange(1, 12).Draw(t, "statements")) {
			by, why := text.Draw(t, "by"), text.Draw(t, "why")
			at := at(rapid.Int64Range(0, second).Draw(t, "second"), "").Time
			merged, changed, o := e.Merge(ownership.Retraction(ownership.Version{Time: at, Source: "//nexus", ID: "m"}, by, why).Entry, exists)
			known := slices.Contains(want, by+"/"+why)
			require.Equal(t, !known, changed)
			require.Equal(t, len(want) == 0, o.Kind == ownership.Applied)
			if known {
				require.Equal(t, e, merged)
			} else {
				want = append(want, by+"/"+why)
			}
			e, exists = merged, true
		}
		var got []string
		for _, said := range e.Retractions {
			got = append(got, said.By+"/"+said.Why)
		}
		require.Equal(t, want, got)
	})
}
