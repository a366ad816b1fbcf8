package ownership_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

const erased = "t_a" // one of tenants

// drawnEntries draws the entries of a ledger, as ledger does.
func drawnEntries(t *rapid.T) (all []ownership.LedgerEntry) {
	for m := range ledger(t, &reference.Registry{}).Moves() {
		e := ownership.LedgerEntry{Version: m.Version, From: m.From, To: m.To, Position: m.Position, Rewriting: ownership.Rewriting{State: ownership.RewritingDone}}
		if m.Retracted {
			e.Retractions = []ownership.Said{{By: "rapid"}}
		}
		all = append(all, e)
	}
	return all
}

// changed returns the ledger's entries after changes.
func changed(entries []ownership.LedgerEntry, changes []ownership.LedgerChange) []ownership.LedgerEntry {
	known := map[ownership.EventName]ownership.LedgerEntry{}
	for _, e := range entries {
		known[e.EventName()] = e
	}
	writes, _ := ownership.UpdateLedger(1000, time.Unix(500, 0), known, changes)
	for _, e := range writes {
		known[e.EventName()] = e
	}
	var all []ownership.LedgerEntry
	for _, e := range known {
		all = append(all, e)
	}
	return all
}

// What an erasure rests on: in each state of the ledger, documents that have lost the
// name and such as have not fold to one owner, up to the name.
func TestNoFoldChangesWhileATenantLosesItsName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := ownership.ErasureKey("00112233445566778899aabbccddeeff")
		pseudonym := key.Pseudonym(erased)
		all, h := drawnEntries(t), merged(entries().Draw(t, "entries")...)
		for i := 1; i < len(h); i++ {
			if h[i].Version == h[i-1].Version {
				t.Skip("of two plain sets at one moment, which no document can have had, the names decide")
			}
		}
		rename := func(owner string) string {
			if owner == erased {
				return pseudonym
			}
			return owner
		}
		var renamed ownership.History
		for _, e := range h {
			renamed, _ = renamed.Merge(e.Renamed(erased, pseudonym))
		}
		want := rename(h.Owner(ownership.NewLedger(1, all)))
		now := changed(all, []ownership.LedgerChange{key.BeginErasure(erased, "op", "")})
		for _, e := range all {
			for _, history := range []ownership.History{h, renamed} {
				l := ownership.NewLedger(2, now)
				require.Equal(t, want, rename(history.Owner(l)))
				u := record(history, l).Update(nil, l)
				require.Equal(t, want, u.TenantID)
				require.NotContains(t, u.Path, erased, "what is written has the new one")
			}
			if e.Named(erased) {
				changes, _ := e.Rename(erased, pseudonym)
				now = changed(now, changes)
			}
		}
		after := changed(now, []ownership.LedgerChange{key.EndErasure(erased)})
		require.Equal(t, want, renamed.Owner(ownership.NewLedger(3, after)), "in the end")
		for _, e := range after {
			require.False(t, e.Named(erased), "%+v", e)
		}
	})
}

// A move may be retracted while one of its tenants is being erased: its documents follow
// all the same.
func TestAnEntryThatLosesTheNameKeepsWhatIsLeftOfItsJob(t *testing.T) {
	key := ownership.NewErasureKey()
	pseudonym := key.Pseudonym(erased)
	e := ownership.LedgerEntry{
		Version: ownership.Version{Time: time.Unix(6, 0), Source: "//n", ID: "m"}, From: erased, To: "t_b",
		Retractions: []ownership.Said{{At: time.Unix(9, 0)}},
		Rewriting:   ownership.Rewriting{State: ownership.RewritingRunning, Tenants: []string{"t_z", erased}, Last: true, Cursor: "thread__1"},
	}
	changes, _ := e.Rename(erased, pseudonym)
	after := changed([]ownership.LedgerEntry{e}, changes)
	require.Len(t, after, 1)
	require.Equal(t, ownership.Rewriting{State: ownership.RewritingQueued, Tenants: []string{"t_z", pseudonym}}, after[0].Rewriting)

	e.Rewriting = ownership.Rewriting{State: ownership.RewritingDone, Tenants: []string{erased}}
	changes, _ = e.Rename(erased, pseudonym)
	require.Equal(t, ownership.Rewriting{State: ownership.RewritingDone}, changed([]ownership.LedgerEntry{e}, changes)[0].Rewriting)
}

// An entry whose event's name has the tenant's in it gets another name, whatever was said
// under the one since it was read, or under the other before.
func TestARetractionIsNotLostWhenItsMoveGetsAnotherName(t *testing.T) {
	key := ownership.NewErasureKey()
	pseudonym := key.Pseudonym(erased)
	said := []ownership.Said{{At: time.Unix(9, 0)}}
	read := ownership.LedgerEntry{
		Version: ownership.Version{Time: time.Unix(6, 0), Source: "//n", ID: "move-of-" + erased}, From: erased, To: "t_b",
		Rewriting: ownership.Rewriting{State: ownership.RewritingDone},
	}
	changes, emptied := read.Rename(erased, pseudonym)
	require.True(t, emptied)
	retracted := read
	retracted.Retractions, retracted.Rewriting = said, ownership.Rewriting{State: ownership.RewritingQueued, Tenants: []string{erased}}
	again := read // under the other name
	again.Version.ID, again.From = "move-of-"+pseudonym, pseudonym
	first := ownership.LedgerEntry{Version: ownership.Version{Source: "//n", ID: again.ID}, RetractionOnly: true, Retractions: said, Rewriting: read.Rewriting}
	for name, entries := range map[string][]ownership.LedgerEntry{
		"since it was read":                          {retracted},
		"and the event came again":                   {retracted, again},
		"the retraction came under the other name":   {read, first},
		"the retraction was said under both of them": {retracted, first},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range changed(entries, changes) {
				if e.SaysNothing() {
					continue
				}
				require.Equal(t, again.EventName(), e.EventName())
				require.Equal(t, pseudonym, e.From)
				require.Equal(t, said, e.Retractions)
				require.False(t, e.RetractionOnly)
				require.Equal(t, ownership.RewritingQueued, e.Rewriting.State)
				require.Contains(t, e.Rewriting.Tenants, pseudonym)
				require.Empty(t, changedBy(e, changes), "and no more the second time")
			}
		})
	}
}

func changedBy(e ownership.LedgerEntry, changes []ownership.LedgerChange) []ownership.LedgerEntry {
	writes, _ := ownership.UpdateLedger(1000, time.Unix(500, 0), map[ownership.EventName]ownership.LedgerEntry{e.EventName(): e}, changes)
	return writes
}

func TestWhatComesOfAnErasedTenantIsTakenUnderTheOtherName(t *testing.T) {
	key := ownership.NewErasureKey()
	pseudonym := key.Pseudonym(erased)
	name := key.EntryOf(erased)
	said := []ownership.Said{{At: time.Unix(9, 0)}}
	l := ownership.NewLedger(2, []ownership.LedgerEntry{
		{Version: ownership.Version{Source: name.Source, ID: name.ID}, RetractionOnly: true, Retractions: said},
		{Version: ownership.Version{Source: key.Entry().Source, ID: key.Entry().ID}, RetractionOnly: true, Retractions: said},
	})
	require.Equal(t, []ownership.ErasureKey{key}, l.ErasureKeys())
	got, is := l.Pseudonym(erased)
	require.True(t, is)
	require.Equal(t, pseudonym, got)
	require.True(t, ownership.IsPseudonym(got))
	_, is = l.Pseudonym("t_b")
	require.False(t, is)

	created := ownership.Entry{Type: ownership.Created, Tenant: erased, Version: ownership.Version{Time: time.Unix(5, 0), Source: "//n", ID: "thread-of-t_a"}}
	moved := ownership.Entry{Type: ownership.Moved, From: erased, To: "t_b", Version: ownership.Version{Time: time.Unix(6, 0), Source: "//n", ID: "m"}}
	u := ownership.Record{}.Update([]ownership.Entry{created}, l)
	require.Equal(t, pseudonym, u.TenantID, "nobody's")
	require.Equal(t, "thread-of-"+pseudonym, u.History[0].ID)
	late := ownership.NewRecord(thread.DocumentID(), u.TenantID, u.History, u.Path, 2, time.Unix(100, 0)).Update([]ownership.Entry{moved, created}, l)
	require.Equal(t, "t_b", late.TenantID, "a move away that comes later counts, in any order")
	require.Equal(t, []ownership.OutcomeKind{ownership.Applied, ownership.Duplicate}, []ownership.OutcomeKind{late.Outcomes[0].Kind, late.Outcomes[1].Kind})
	_, _, err := ownership.Record{}.Claim(ownership.ClaimEntry(erased, thread, time.Unix(7, 0)), l)
	require.ErrorIs(t, err, registry.ErrConflict)
	_, _, err = record(ownership.History{created}, l).Claim(ownership.ClaimEntry(erased, thread, time.Unix(7, 0)), l)
	require.ErrorIs(t, err, registry.ErrConflict, "nor is it told that it owns what has not been deleted yet")
}

func TestATextLosesTheNameAndKeepsThoseThatAreLonger(t *testing.T) {
	for text, want := range map[string]string{
		"t_a":              "X",
		"t_ab":             "t_ab",
		"t_a-t_b-20260101": "X-t_b-20260101",
		"thread__1__t_a":   "thread__1__X",
		"not_a":            "not_a",
		"of t_a, t_a2.":    "of X, t_a2.",
		"":                 "",
	} {
		require.Equal(t, want, ownership.RenamedText(text, "t_a", "X"), text)
		require.Equal(t, text != want, ownership.Names(text, "t_a"), text)
	}
}
