package ownership_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

var (
	tenants = []string{"t_a", "t_b", "t_c", "t_d"}
	thread  = registry.Resource{Kind: registry.Thread, ID: "th"}
)

// Few times, sources, ids and tenants, so that they meet often.
func version() *rapid.Generator[ownership.Version] {
	return rapid.Custom(func(t *rapid.T) ownership.Version {
		return ownership.Version{
			Time:   time.Unix(rapid.Int64Range(1, 8).Draw(t, "second"), rapid.Int64Range(0, 1).Draw(t, "nano")).UTC(),
			Source: rapid.SampledFrom([]string{"//a", "//b"}).Draw(t, "source"),
			ID:     fmt.Sprint(rapid.IntRange(1, 6).Draw(t, "id")),
		}
	})
}

func entry() *rapid.Generator[ownership.Entry] {
	return rapid.Custom(func(t *rapid.T) ownership.Entry {
		e := ownership.Entry{
			Type:    rapid.SampledFrom([]ownership.EntryType{ownership.Created, ownership.Moved, ownership.Moved, ownership.Asserted, ownership.Claimed}).Draw(t, "type"),
			Version: version().Draw(t, "version"),
		}
		if rapid.IntRange(0, 15).Draw(t, "deletion") == 15 { // few: they leave nothing to look at
			return deletion(e.Time)
		}
		if e.Type == ownership.Moved {
			return move(t, e)
		}
		e.Tenant = rapid.SampledFrom(tenants).Draw(t, "tenant")
		if e.Type == ownership.Asserted {
			e.Source, e.ID = "", ""
		}
		return e
	})
}

func deletion(at time.Time) ownership.Entry {
	return ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: at}}
}

func move(t *rapid.T, e ownership.Entry) ownership.Entry {
	e.Type = ownership.Moved
	e.From = rapid.SampledFrom(tenants).Draw(t, "from")
	e.To = rapid.SampledFrom(tenants).Filter(func(s string) bool { return s != e.From }).Draw(t, "to")
	return e
}

func entries() *rapid.Generator[[]ownership.Entry] { return rapid.SliceOfN(entry(), 0, 8) }

// ledger draws a ledger, some of it retracted, and tells the reference of it.
func ledger(t *rapid.T, ref *reference.Registry) *ownership.Ledger {
	byEvent := map[[2]string]ownership.LedgerEntry{}
	for range rapid.IntRange(0, 6).Draw(t, "ledger entries") {
		m := move(t, ownership.Entry{Version: version().Draw(t, "version")})
		key := [2]string{m.Source, m.ID}
		before, exists := byEvent[key]
		after, _, _ := before.Merge(m, exists)
		if rapid.IntRange(0, 3).Draw(t, "retracted") == 0 {
			after, _, _ = after.Merge(ownership.Retraction(ownership.Version{}, "rapid", "").Entry, true)
		}
		if after.Retracted() {
			ref.Add(ownership.Retraction(ownership.Version{Source: m.Source, ID: m.ID}, "", ""))
		}
		byEvent[key] = after
		ref.Add(ownership.Change{Entry: m})
	}
	var all []ownership.LedgerEntry
	for _, e := range byEvent {
		all = append(all, e)
	}
	return ownership.NewLedger(int64(len(all)), all)
}

func merged(entries ...ownership.Entry) ownership.History {
	var h ownership.History
	for _, e := range entries {
		h, _ = h.Merge(e)
	}
	return h
}

func TestMergeCommutesAndAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := entries().Draw(t, "entries")
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		require.True(t, merged(all...).Equal(merged(shuffled...)))
	})
}

func TestMergeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := entries().Draw(t, "entries")
		h := merged(all...)
		for _, e := range all {
			again, changed := h.Merge(e)
			require.False(t, changed, "merging %+v again", e)
			require.True(t, again.Equal(h))
		}
	})
}

func TestMergeLeavesTheHistoryThatItWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := merged(entries().Draw(t, "entries")...)
		before := slices.Clone(h)
		h.Merge(entry().Draw(t, "entry"))
		require.True(t, h.Equal(before))
	})
}

func TestAHistoryHoldsWhatIsInItAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := entries().Draw(t, "entries")
		h := merged(all...)
		for _, e := range append(all, entry().Draw(t, "another")) {
			require.Equal(t, slices.ContainsFunc(h, e.Equal), h.HoldsClaim([]ownership.Entry{e}), "%+v", e)
		}
	})
}

func TestOwnerEqualsTheReferenceFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ref reference.Registry
		l := ledger(t, &ref)
		all := entries().Draw(t, "entries")
		for _, e := range all {
			ref.Add(ownership.Change{Resource: thread, Entry: e})
		}
		require.Equal(t, ref.Owner(thread), merged(all...).Owner(l))
	})
}

func TestOwnerIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := merged(entries().Draw(t, "entries")...)
		owner := h.Owner(ledger(t, &reference.Registry{}))
		require.Equal(t, len(h) == 0 || h.Deleted(), owner == "", "only what nobody registered, or what was deleted, has no owner")
	})
}

func TestASecondCreationNeverWinsOverASmallerOneNorOverAClaim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ref reference.Registry
		l := ledger(t, &ref)
		h := merged(entries().Draw(t, "entries")...)
		_, claimed := h.Claimed()
		first, ok := h.Created()
		if !ok && !claimed {
			t.Skip("nothing was created")
		}
		theft := ownership.Entry{Type: ownership.Created, Tenant: "t_thief", Version: version().Draw(t, "version")}
		if !claimed && theft.Version.Compare(first.Version) <= 0 {
			t.Skip("it is not a later one, and there is no claim")
		}
		after, changed := h.Merge(theft)
		require.False(t, changed)
		require.Equal(t, h.Owner(l), after.Owner(l))
	})
}

func TestPathHoldsEveryOwnerAndEndsWithTheLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		h := merged(entries().Draw(t, "entries")...)
		path := h.Path(l)
		if len(h) == 0 || h.Deleted() {
			require.Empty(t, path)
			return
		}
		require.Equal(t, h.Owner(l), path[len(path)-1])
		distinct := slices.Compact(slices.Sorted(slices.Values(path)))
		require.Len(t, path, len(distinct), "each owner once")
		for _, step := range h.Explain(l) {
			require.Contains(t, path, step.Owner)
		}
	})
}

// What the rewriting of documents rests on.
func TestAMoveOfATenantThatIsNotOnThePathChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ref reference.Registry
		l := ledger(t, &ref)
		h := merged(entries().Draw(t, "entries")...)
		m := move(t, ownership.Entry{Version: ownership.Version{
			Time: time.Unix(rapid.Int64Range(0, 9).Draw(t, "second"), 0).UTC(), Source: "//c", ID: "new"}})
		if slices.Contains(h.Path(l), m.From) {
			t.Skip("it is on the path")
		}
		added, _, _ := ownership.LedgerEntry{}.Merge(m, false)
		with := l.With(l.Position()+1, []ownership.LedgerEntry{added})
		require.Equal(t, h.Owner(l), h.Owner(with))
		require.Equal(t, h.Path(l), h.Path(with))
	})
}

// What serving from a cached history rests on: whatever joins without a notice
// either leaves the answer, or Reliable says to read again.
func TestWhatJoinsWithoutANoticeDoesNotChangeAReliableAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		cached := merged(entries().Draw(t, "entries")...)
		if len(cached) == 0 {
			t.Skip("absences are not cached")
		}
		record := ownership.NewRecord(thread.DocumentID(), cached.Owner(l), cached, cached.Path(l), l.Position(), time.Unix(100, 0))
		update := record.Update([]ownership.Entry{entry().Draw(t, "entry")}, l)
		if !update.Feed && cached.Reliable(l) {
			require.Equal(t, cached.Owner(l), update.History.Owner(l))
		}
	})
}

func TestExplainEndsWithTheOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		h := merged(entries().Draw(t, "entries")...)
		if steps := h.Explain(l); len(h) > 0 {
			require.Equal(t, h.Owner(l), steps[len(steps)-1].Owner)
		} else {
			require.Empty(t, steps)
		}
	})
}

func TestOwnerDoesNotAllocate(t *testing.T) {
	h := merged(created("t_a", 1, "1"), moved("t_a", "t_b", 2, "2"))
	m, _, _ := ownership.LedgerEntry{}.Merge(moved("t_b", "t_c", 3, "3"), false)
	l := ownership.NewLedger(1, []ownership.LedgerEntry{m})
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Owner(l) }))
	require.Equal(t, "t_c", h.Owner(l))
}

func created(tenant string, second int64, id string) ownership.Entry {
	return ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: at(second, id)}
}

func moved(from, to string, second int64, id string) ownership.Entry {
	return ownership.Entry{Type: ownership.Moved, From: from, To: to, Version: at(second, id)}
}

func at(second int64, id string) ownership.Version {
	return ownership.Version{Time: time.Unix(second, 0).UTC(), Source: "//nexus", ID: id}
}
