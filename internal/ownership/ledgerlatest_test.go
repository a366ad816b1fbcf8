package ownership_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestLatestHasTheLastChangesFirstAndThoseOfOneTenantAlone(t *testing.T) {
	move := func(id, from, to string, position int64) ownership.LedgerEntry {
		v := ownership.Version{Source: "//test", ID: id, Time: time.Unix(1000-position, 0)} // later positions, earlier times
		return ownership.LedgerEntry{Version: v, From: from, To: to, Position: position}
	}
	unread := ownership.LedgerEntry{Version: ownership.Version{Source: "//test", ID: "new"}, Position: 2, Unread: errors.New("format 9")}
	l := ownership.NewLedger(5, []ownership.LedgerEntry{
		move("m1", "t_a", "t_b", 1), unread, move("m3", "t_c", "t_d", 3), move("m4", "t_d", "t_a", 4), move("m5", "t_b", "t_c", 5),
	})
	ids := func(n int, tenant string) (all []string) {
		for _, e := range l.Latest(n, tenant) {
			all = append(all, e.ID)
		}
		return all
	}
	require.Equal(t, []string{"new", "m5", "m4", "m3", "m1"}, ids(10, ""))
	require.Equal(t, []string{"new", "m5"}, ids(2, ""))
	require.Equal(t, []string{"new", "m4", "m1"}, ids(10, "t_a"), "as the one who gives and the one who gets")
	require.Equal(t, []string{"new"}, ids(1, "t_a"))
	require.Empty(t, ids(0, ""))
	require.Empty(t, (*ownership.Ledger)(nil).Latest(3, ""))
}
