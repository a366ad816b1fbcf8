package ownership_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestADeletionIsAllThatIsLeftWhateverComesBeforeOrAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(0, 9), 1, 3).Draw(t, "deleted at")
		all := entries().Draw(t, "entries")
		for _, at := range times {
			all = append(all, deletion(time.Unix(at, 0).UTC()))
		}
		first := slices.MinFunc(all, func(a, b ownership.Entry) int {
			if (a.Type == ownership.Deleted) != (b.Type == ownership.Deleted) {
				return map[bool]int{true: -1, false: 1}[a.Type == ownership.Deleted]
			}
			return a.Time.Compare(b.Time)
		})
		h := merged(rapid.Permutation(all).Draw(t, "order")...)
		require.Equal(t, ownership.History{deletion(first.Time)}, h, "the first deletion, which names nothing")
		require.Empty(t, h.Owner(ledger(t, &reference.Registry{})))
	})
}

func TestAnyBatchesWithADeletionEndInTheSameTombstone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		all := append(entries().Draw(t, "entries"), deletion(time.Unix(rapid.Int64Range(0, 9).Draw(t, "deleted at"), 0).UTC()))
		want := merged(all...)
		r := record(nil, l)
		for left := rapid.Permutation(append(all, all...)).Draw(t, "order, each twice"); len(left) > 0; {
			n := rapid.IntRange(1, len(left)).Draw(t, "batch")
			u := r.Update(left[:n], l)
			left = left[n:]
			if !u.Write {
				continue
			}
			require.True(t, u.History.Deleted() == (u.TenantID == ""))
			require.Equal(t, r.Exists() && u.History.Deleted(), u.Feed && u.History.Deleted(), "what was there may be in memory")
			r = ownership.NewRecord(thread.DocumentID(), u.TenantID, u.History, u.Path, u.LedgerPosition, time.Unix(100, 0))
			r.Displaced = u.Displaced
		}
		require.Equal(t, want, r.History)
		require.Empty(t, r.TenantID)
		require.Empty(t, r.Path)
		require.Empty(t, r.Displaced)
	})
}

func TestWhatWasDeletedTakesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		tombstone := record(ownership.History{deletion(time.Unix(0, 0).UTC())}, l)
		all := append(entries().Draw(t, "entries"), deletion(time.Unix(3, 0).UTC()))
		u := tombstone.Update(all, l)
		require.False(t, u.Write)
		for i, o := range u.Outcomes {
			want := ownership.Gone
			if all[i].Type == ownership.Deleted {
				want = ownership.Duplicate
			}
			require.Equal(t, want, o.Kind)
		}
		_, created, err := tombstone.Claim(ownership.ClaimEntry(rapid.SampledFrom(tenants).Draw(t, "claims"), thread, time.Unix(50, 0)), l)
		require.ErrorIs(t, err, registry.ErrConflict)
		require.False(t, created)
	})
}

func TestNothingOfABatchWithADeletionIsAConflict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		all := append(entries().Draw(t, "entries"), deletion(time.Unix(3, 0).UTC()))
		for i, o := range record(merged(entries().Draw(t, "before")...), l).Update(all, l).Outcomes {
			if all[i].Type != ownership.Deleted {
				require.Equal(t, ownership.Gone, o.Kind)
			}
		}
	})
}

func TestATenantGivenToATombstoneHasNoEffectAndIsRemoved(t *testing.T) {
	gone := ownership.History{deletion(time.Unix(5, 0).UTC())}
	r := ownership.NewRecord(thread.DocumentID(), "t_a", gone, nil, 0, time.Unix(100, 0))
	require.Equal(t, gone, r.History)
	require.False(t, r.Plain)
	u := r.Update([]ownership.Entry{{Type: ownership.Created, Tenant: "t_a"}}, nil)
	require.True(t, u.Write)
	require.Empty(t, u.TenantID)
	require.Equal(t, gone, u.History)
}

func TestATombstoneTakesAFormatOfItsOwn(t *testing.T) {
	gone := ownership.History{deletion(time.Unix(5, 0).UTC())}
	require.EqualValues(t, 3, gone.Format(), "which the release before leaves alone")
	_, brief := gone.Brief()
	require.False(t, brief, "no tenant has it")
}
