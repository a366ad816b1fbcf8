package ownership_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestLedgersOfTwoEpochsHaveNothingToDoWithOneAnother(t *testing.T) {
	var none *ownership.Ledger
	a := ownership.NewLedger(1, nil).InEpoch("a")
	for name, test := range map[string]struct {
		one, other *ownership.Ledger
		same       bool
	}{
		"of one epoch":         {a, a.With(2, nil), true},
		"of two":               {a, ownership.NewLedger(1, nil).InEpoch("b"), false},
		"one without an epoch": {a, ownership.NewLedger(1, nil), false},
		"two without":          {ownership.NewLedger(1, nil), ownership.NewLedger(2, nil), true},
		"a registry that had none yet, and what follows": {none, a, true},
	} {
		require.Equal(t, test.same, test.one.SameEpoch(test.other), name)
		require.Equal(t, test.same, test.other.SameEpoch(test.one), name)
	}
	require.Equal(t, "a", a.With(5, []ownership.LedgerEntry{{Version: ownership.Version{Source: "s", ID: "i"}, From: "t_a", To: "t_b", Position: 5}}).Epoch())
	require.Empty(t, a.InEpoch("").Epoch())
	require.Equal(t, "a", a.Epoch(), "a ledger never changes")

	cursor := ownership.NewFeedCursor(nil)
	require.True(t, cursor.Follow(none))
	require.True(t, cursor.Follow(a))
	require.True(t, cursor.Follow(a.With(2, nil)))
	require.False(t, cursor.Follow(a.InEpoch("b")))
	require.True(t, cursor.Follow(a.InEpoch("b")))
}
