package ownership_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
)

func TestABriefNamesTheOwnerOfItsHistoryOrNone(t *testing.T) {
	told := 0
	rapid.Check(t, func(t *rapid.T) {
		l := ledger(t, &reference.Registry{})
		h := merged(entries().Draw(t, "entries")...)
		brief, ok := h.Brief()
		if !ok {
			return
		}
		owner, ok := brief.Owner(l)
		if !ok {
			return
		}
		told++
		require.Equal(t, h.Owner(l), owner)
		require.True(t, h.Reliable(l), "what may be joined quietly is not told")
	})
	require.NotZero(t, told)
}

func TestABriefIsToldWhereverItMayBe(t *testing.T) {
	h := merged(created("t_a", 5, "e"))
	brief, ok := h.Brief()
	require.True(t, ok)
	require.Equal(t, "t_a", brief.Tenant)
	for second, want := range map[int64]string{4: "", 5: "", 6: "t_b"} {
		m, _, _ := ownership.LedgerEntry{}.Merge(moved("t_a", "t_b", second, "z"), false)
		owner, ok := brief.Owner(ownership.NewLedger(1, []ownership.LedgerEntry{m}))
		require.Equal(t, want != "", ok)
		require.Equal(t, want, owner)
	}
	owner, ok := brief.Owner(nil)
	require.True(t, ok)
	require.Equal(t, "t_a", owner)
}

func TestOtherHistoriesHaveNoBrief(t *testing.T) {
	ancient := created("t_a", 0, "e")
	ancient.Time = time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, h := range map[string]ownership.History{
		"none":        nil,
		"moved":       merged(created("t_a", 1, "e"), moved("t_a", "t_b", 2, "m")),
		"two tenants": merged(created("t_a", 1, "e"), ownership.Entry{Type: ownership.Asserted, Tenant: "t_b", Version: at(2, "")}),
		"ancient":     merged(ancient),
	} {
		_, ok := h.Brief()
		require.False(t, ok, name)
	}
}
