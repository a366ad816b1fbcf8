package ownership_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Whatever way a ledger came to its position, it is the one made of its entries.
func TestALedgerWithChangesIsTheLedgerOfItsEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenants := []string{"t_a", "t_b", "t_c"}
		entries := map[ownership.EventName]ownership.LedgerEntry{}
		var ledger *ownership.Ledger
		var before []known
		position := int64(0)
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			var changes []ownership.LedgerChange
			for range rapid.IntRange(0, 5).Draw(t, "changes") {
				id := fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "id"))
				if rapid.IntRange(0, 3).Draw(t, "retract") == 0 {
					changes = append(changes, ownership.Retraction(ownership.Version{Time: time.Unix(1, 0), Source: "s", ID: id}, "", "").Entry.LedgerChange())
					continue
				}
				changes = append(changes, ownership.Entry{
					Type: ownership.Moved, From: rapid.SampledFrom(tenants).Draw(t, "from"), To: rapid.SampledFrom(tenants).Draw(t, "to"),
					Version: ownership.Version{Time: time.Unix(int64(rapid.IntRange(0, 9).Draw(t, "time")), 0).UTC(), Source: "s", ID: id},
				}.LedgerChange())
			}
			writes, outcomes := ownership.UpdateLedger(position, time.Unix(99, 0), entries, changes)
			require.Len(t, outcomes, len(changes))
			for i, e := range writes {
				require.Equal(t, position+int64(i)+1, e.Position, "positions follow one another")
				entries[e.EventName()] = e
			}
			position += int64(len(writes))
			ledger = ledger.With(position, writes)
			before = append(before, known{ledger, slices.Collect(ledger.Moves())})
		}
		var all []ownership.LedgerEntry
		for _, e := range entries {
			all = append(all, e)
		}
		requireSame(t, ownership.NewLedger(position, all), ledger)
		if len(before) > 0 { // what came later has not changed what was there
			old := rapid.SampledFrom(before).Draw(t, "before")
			var again ownership.Loading
			again.Add(old.moves)
			requireSame(t, again.Ledger(old.Position(), nil), old.Ledger)
		}
	})
}

// known is a ledger with the moves that it had when it was made.
type known struct {
	*ownership.Ledger
	moves []ownership.Move
}

// requireSame requires that two ledgers hold the same, and fold alike.
func requireSame(t *rapid.T, want, got *ownership.Ledger) {
	require.Equal(t, want.Position(), got.Position())
	require.Equal(t, slices.Collect(want.Moves()), slices.Collect(got.Moves()))
	require.Equal(t, slices.Collect(want.Counting()), slices.Collect(got.Counting()))
	for _, tenant := range []string{"t_a", "t_b", "t_c"} {
		for at := range int64(10) {
			h := merged(created(tenant, at, "e"))
			require.Equal(t, h.Path(want), h.Path(got))
		}
	}
}

// What Between makes of two ledgers is the one that was there, and it says no only
// if a change is hidden by a later one.
func TestALedgerBetweenTwoIsTheOneThatWasThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := map[ownership.EventName]ownership.LedgerEntry{}
		ledgers := []*ownership.Ledger{nil}
		for i := range rapid.IntRange(1, 12).Draw(t, "changes") {
			name := ownership.EventName{Source: "s", ID: fmt.Sprint(rapid.IntRange(0, 8).Draw(t, "id"))}
			change := ownership.Retraction(ownership.Version{Time: time.Unix(int64(i), 0), Source: name.Source, ID: name.ID}, "", fmt.Sprint(i)).Entry.LedgerChange()
			if _, moved := entries[name]; !moved {
				change = ownership.Entry{Type: ownership.Moved, From: "t_a", To: fmt.Sprint("t_", i),
					Version: ownership.Version{Time: time.Unix(int64(i), 0).UTC(), Source: name.Source, ID: name.ID}}.LedgerChange()
			}
			writes, _ := ownership.UpdateLedger(int64(i), time.Unix(99, 0), entries, []ownership.LedgerChange{change})
			require.Len(t, writes, 1)
			entries[name] = writes[0]
			ledgers = append(ledgers, ledgers[i].With(int64(i)+1, writes))
		}
		low := rapid.IntRange(0, len(ledgers)-1).Draw(t, "low")
		high := rapid.IntRange(low, len(ledgers)-1).Draw(t, "high")
		position := rapid.IntRange(low, high).Draw(t, "position")
		hidden := false
		for at := low + 1; at <= position; at++ {
			hidden = hidden || !slices.ContainsFunc(slices.Collect(ledgers[high].Moves()), func(m ownership.Move) bool { return m.Position == int64(at) })
		}
		between, ok := ledgers[low].Between(int64(position), ledgers[high])
		require.Equal(t, !hidden, ok)
		if ok {
			require.Equal(t, ledgers[position].Position(), between.Position())
			require.Equal(t, slices.Collect(ledgers[position].Moves()), slices.Collect(between.Moves()))
		}
	})
}

func TestChangesOfOneLedgerEntryInOneCommitAreOneWrite(t *testing.T) {
	at := func(n int) ownership.Version {
		return ownership.Version{Time: time.Unix(int64(n), 0).UTC(), Source: "s", ID: "m"}
	}
	move := func(n int) ownership.LedgerChange {
		return ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: at(n)}.LedgerChange()
	}
	other := ownership.Entry{Type: ownership.Moved, From: "t_c", To: "t_d", Version: ownership.Version{Source: "s", ID: "o"}}.LedgerChange()
	retract := ownership.Retraction(ownership.Version{Source: "s", ID: "m"}, "", "").Entry.LedgerChange()
	writes, outcomes := ownership.UpdateLedger(7, time.Unix(50, 0), nil, []ownership.LedgerChange{move(3), other, move(3), move(2), retract, retract})
	require.Len(t, writes, 2)
	require.Equal(t, []int64{8, 9}, []int64{writes[0].Position, writes[1].Position})
	require.True(t, writes[0].Retracted())
	require.Equal(t, at(2), writes[0].Version)
	require.True(t, time.Unix(50, 0).Equal(writes[0].Retractions[0].At), "a retraction without a time bears the store's")
	var kinds []ownership.OutcomeKind
	for _, o := range outcomes {
		kinds = append(kinds, o.Kind)
	}
	require.Equal(t, []ownership.OutcomeKind{ownership.Applied, ownership.Applied, ownership.Duplicate, ownership.Applied, ownership.Applied, ownership.Duplicate}, kinds)
}

// Else who retracts would be told of themselves, and be noted twice.
func TestARetractionWhoseAnswerWasLostIsKnownAgain(t *testing.T) {
	change := ownership.Retraction(ownership.Version{Source: "s", ID: "m"}, "kim", "").Entry.LedgerChange()
	first := change.Update(ownership.LedgerEntry{}, false, time.Unix(50, 0))
	require.True(t, first.Write)
	again := change.Update(first.Entry, true, time.Unix(51, 0))
	require.False(t, again.Write)
	require.Equal(t, ownership.Outcome{Kind: ownership.Duplicate}, again.Outcome)
}

func TestAChangeThatPanicsIsRefusedAndTheOthersOfItsCommitGoOn(t *testing.T) {
	move := func(id string) ownership.LedgerChange {
		return ownership.Entry{Type: ownership.Moved, From: "t_" + id, To: "t_z", Version: ownership.Version{Time: time.Unix(1, 0).UTC(), Source: "s", ID: id}}.LedgerChange()
	}
	defect := ownership.LedgerChange{
		Event:  ownership.EventName{Source: "s", ID: "b"},
		Update: func(ownership.LedgerEntry, bool, time.Time) ownership.LedgerUpdate { panic("index out of range") },
	}
	writes, outcomes := ownership.UpdateLedger(0, time.Unix(9, 0), nil, []ownership.LedgerChange{move("a"), defect, move("c")})
	require.Len(t, writes, 2)
	require.Equal(t, []int64{1, 2}, []int64{writes[0].Position, writes[1].Position}, "it takes no position")
	require.Equal(t, []ownership.OutcomeKind{ownership.Applied, ownership.Failed, ownership.Applied},
		[]ownership.OutcomeKind{outcomes[0].Kind, outcomes[1].Kind, outcomes[2].Kind})
	var panicked *ownership.PanicError
	require.ErrorAs(t, outcomes[1].Err, &panicked)
	require.Equal(t, "index out of range", panicked.Value)
	require.Contains(t, string(panicked.Stack), "ledgerchange_test.go")
}

func TestWhatIsSaidOfARetractionIsBoundedAndPrintableUnlessAnArchiveBringsIt(t *testing.T) {
	for name, said := range map[string]ownership.Said{
		"a long name":    {By: strings.Repeat("k", ownership.MaxByBytes+1)},
		"a forged row":   {By: "kim\n2026-01-01 counts"},
		"an escape":      {By: "\x1b[2Kkim"},
		"a bidi mark":    {By: "kim\u202e"},
		"a long reason":  {Why: strings.Repeat("w", ownership.MaxNoteBytes+1)},
		"a torn reason":  {Why: "caf\xc3"},
		"a reason's tab": {Why: "wrong\ttenant"},
	} {
		t.Run(name, func(t *testing.T) {
			m := ownership.Version{Source: "s", ID: "m"}
			require.ErrorIs(t, ownership.Retraction(m, said.By, said.Why).Validate(), registry.ErrInvalid)
			m.Time = time.Unix(49, 0)
			require.NoError(t, ownership.Retraction(m, said.By, said.Why).Validate(), "what was said once is kept")
		})
	}
	require.NoError(t, ownership.Retraction(ownership.Version{}, "", "").Validate(), "both may be left out")
}

func TestAChangeGoesWhereItsTypeBelongs(t *testing.T) {
	thread := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	for _, c := range []ownership.Change{
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Created}},
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Moved}},
		{Entry: ownership.Entry{Type: ownership.Moved}},
		ownership.Retraction(ownership.Version{}, "", ""),
	} {
		require.NoError(t, c.Validate())
	}
	for _, c := range []ownership.Change{
		{Entry: ownership.Entry{Type: ownership.Created}},
		{Entry: ownership.Entry{Type: ownership.Claimed}},
		{Entry: ownership.Entry{Type: ownership.Asserted}},
		{Entry: ownership.Entry{}},
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Retracted}},
		{Resource: registry.Resource{Kind: "page", ID: "p"}, Entry: ownership.Entry{Type: ownership.Created}},
	} {
		require.ErrorIs(t, c.Validate(), registry.ErrInvalid, "%+v", c)
	}
}

// Whichever comes first in a commit, the move counts for nobody at any time, and
// so leaves nothing to be rewritten.
func TestAMoveInTheCommitOfItsRetractionNeverCounts(t *testing.T) {
	move := ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(1, 0).UTC(), Source: "s", ID: "m"}}
	retraction := ownership.Retraction(ownership.Version{Source: "s", ID: "m"}, "kim", "").Entry
	for _, entries := range [][]ownership.Entry{{move, retraction}, {retraction, move}} {
		changes := []ownership.LedgerChange{entries[0].LedgerChange(), entries[1].LedgerChange()}
		writes, outcomes := ownership.UpdateLedger(0, time.Unix(9, 0), nil, changes)
		require.Len(t, writes, 1)
		require.True(t, writes[0].Retracted())
		require.Equal(t, move.Version, writes[0].Version)
		require.Equal(t, ownership.RewritingDone, writes[0].Rewriting.State)
		require.Equal(t, []ownership.OutcomeKind{ownership.Applied, ownership.Applied}, []ownership.OutcomeKind{outcomes[0].Kind, outcomes[1].Kind})
	}
}
