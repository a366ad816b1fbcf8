package ownership_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// strangers are moves that have no effect, unless the resource has no owner but
// those whom they name.
func strangers(n int) []ownership.Entry {
	var all []ownership.Entry
	for i := range n {
		from, to := "t_x", "t_y"
		if i%2 == 1 {
			from, to = to, from
		}
		all = append(all, moved(from, to, int64(2+i), fmt.Sprint("s", i)))
	}
	return all
}

func kindsOf(u ownership.Update) map[ownership.OutcomeKind]int {
	n := map[ownership.OutcomeKind]int{}
	for _, o := range u.Outcomes {
		n[o.Kind]++
	}
	return n
}

func TestStrangersCannotFillAHistory(t *testing.T) {
	for name, entries := range map[string][]ownership.Entry{
		"what somebody created":                {created("t_a", 1, "e")},
		"what nobody has created, moves alone": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := record(record(nil, nil).Update(entries, nil).History, nil)
			u := r.Update(strangers(2*ownership.MaxMoves), nil)
			require.Equal(t, 2*ownership.MaxMoves-ownership.MaxIdleMoves, kindsOf(u)[ownership.HistoryFull])
			require.Contains(t, u.Outcomes[len(u.Outcomes)-1].Detail, "without effect")
			for _, o := range u.Outcomes {
				require.False(t, o.WouldCount)
			}

			u = record(u.History, nil).Update(append(entries, created("t_a", 1, "e"), moved("t_a", "t_b", 5000, "true")), nil)
			require.Equal(t, ownership.Applied, u.Outcomes[len(u.Outcomes)-1].Kind, "the true move still counts")
			require.Equal(t, "t_b", u.TenantID)
		})
	}
}

func TestAMoveIsJudgedByWhatComesWithIt(t *testing.T) {
	batch := strangers(ownership.MaxIdleMoves)
	batch = append(batch, moved("t_a", "t_b", 1, "true"), created("t_a", 9999, "e"))
	u := record(nil, nil).Update(batch, nil)
	require.Zero(t, kindsOf(u)[ownership.HistoryFull], "%v", kindsOf(u))
	require.Equal(t, "t_b", u.TenantID)
}

func TestAMoveThatIsRefusedAlthoughItWouldCountIsSaid(t *testing.T) {
	entries := []ownership.Entry{created("t_0", 0, "e")}
	for i := range int64(ownership.MaxMoves) {
		entries = append(entries, moved(fmt.Sprint("t_", i), fmt.Sprint("t_", i+1), i+1, fmt.Sprint("m", i)))
	}
	u := record(nil, nil).Update(entries, nil)
	require.Zero(t, kindsOf(u)[ownership.HistoryFull])
	r := record(u.History, nil)
	u = r.Update([]ownership.Entry{moved("t_1000", "t_z", 5000, "one too many"), moved("t_x", "t_y", 5000, "idle")}, nil)
	for i, counts := range []bool{true, false} {
		require.Equal(t, ownership.HistoryFull, u.Outcomes[i].Kind)
		require.Equal(t, counts, u.Outcomes[i].WouldCount)
	}
}

// A move without effect today may have one after a retraction: none is given up,
// and what is there already is no reason to refuse one that counts.
func TestNoMoveIsEverGivenUp(t *testing.T) {
	l := ledgerOf(moved("t_a", "t_x", 2, "m"))
	entries := []ownership.Entry{created("t_a", 1, "e")}
	for i := range int64(3 * ownership.MaxIdleMoves) { // t_x and t_y in turns
		entries = append(entries, moved("t_x", "t_y", 10+2*i, fmt.Sprint("a", i)), moved("t_y", "t_x", 11+2*i, fmt.Sprint("b", i)))
	}
	u := record(nil, l).Update(entries, l)
	require.Zero(t, kindsOf(u)[ownership.HistoryFull])
	r := record(u.History, nil) // the ledger's move is taken back
	u = r.Update([]ownership.Entry{moved("t_a", "t_b", 9000, "true"), moved("t_x", "t_q", 9001, "idle")}, nil)
	require.Len(t, u.History, 1+6*ownership.MaxIdleMoves+1)
	require.Equal(t, []ownership.OutcomeKind{ownership.Applied, ownership.HistoryFull}, []ownership.OutcomeKind{u.Outcomes[0].Kind, u.Outcomes[1].Kind})
	require.Equal(t, ownership.Duplicate, record(u.History, nil).Update(entries[5:6], nil).Outcomes[0].Kind)
}

// An event that comes again, with an earlier time or other tenants, takes the
// place of what has its name: that needs no room.
func TestAKnownNameTakesNoRoom(t *testing.T) {
	entries := append([]ownership.Entry{created("t_a", 1, "e")}, strangers(ownership.MaxIdleMoves)...)
	entries = append(entries, moved("t_a", "t_b", 5000, "late"), moved("t_a", "t_c", 4000, "early"))
	u := record(nil, nil).Update(entries[:ownership.MaxIdleMoves+2], nil)
	u = record(u.History, nil).Update(entries[ownership.MaxIdleMoves+2:], nil)
	require.Equal(t, "t_c", u.TenantID, "the late one has no effect any more: there is one more than are kept")
	u = record(u.History, nil).Update([]ownership.Entry{moved("t_x", "t_y", 1, "s0"), moved("t_q", "t_y", 1, "s1"), moved("t_q", "t_y", 1, "new")}, nil)
	require.Equal(t, []ownership.OutcomeKind{ownership.Inapplicable, ownership.Inapplicable, ownership.HistoryFull},
		[]ownership.OutcomeKind{u.Outcomes[0].Kind, u.Outcomes[1].Kind, u.Outcomes[2].Kind})
	require.NotNil(t, u.Outcomes[1].Displaced)
}

// There is one claim, and somebody was told yes: it is taken to the last byte.
func TestAClaimIsTakenByAHistoryThatIsFull(t *testing.T) {
	entries := []ownership.Entry{created("t_0", 0, "e")}
	size := func(e ownership.Entry) int {
		return len(e.Source) + len(e.ID) + len(e.Tenant) + len(e.From) + len(e.To) + len(e.Reason) + len(e.Actor)
	}
	left := ownership.MaxHistoryBytes - size(entries[0])
	for i := int64(1); left > 0; i++ {
		m := moved(fmt.Sprint("t_", i-1), fmt.Sprint("t_", i), i, fmt.Sprint("m", i))
		m.Reason = strings.Repeat("x", min(2000, left-size(m)))
		if left-size(m) < 100 {
			m.Reason += strings.Repeat("x", left-size(m))
		}
		left -= size(m)
		entries = append(entries, m)
	}
	u := record(nil, nil).Update(entries, nil)
	require.Zero(t, kindsOf(u)[ownership.HistoryFull], "it holds as much as it may")
	claim := ownership.ClaimEntry("t_0", thread, at(9000, "").Time)
	more := record(u.History, nil).Update([]ownership.Entry{moved("t_x", "t_y", 9000, "more"), claim}, nil)
	require.Equal(t, ownership.HistoryFull, more.Outcomes[0].Kind)
	require.Equal(t, ownership.Applied, more.Outcomes[1].Kind)
}

func TestAClaimJoinsAsManyMovesOfStrangersAsAreKept(t *testing.T) {
	u := record(nil, nil).Update(strangers(ownership.MaxIdleMoves), nil)
	u, created, err := record(u.History, nil).Claim(ownership.ClaimEntry("t_a", thread, at(9, "").Time), nil)
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, "t_a", u.TenantID)
}
