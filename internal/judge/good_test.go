package judge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

func TestAHistoryThatKeepsEveryPromiseIsGood(t *testing.T) {
	h := whole(t)
	h.add(
		answer(judge.Check, "t_a", 0, 404), answer(judge.Check, "t_a", 3, 204), answer(judge.Check, "t_b", 3, 404),
		answer(judge.Check, "t_a", 12, 204), // stale, within the bound
		answer(judge.Check, "t_b", 12, 204), answer(judge.Check, "t_a", 14, 404), answer(judge.Check, "t_a", 20, 503),
	)
	verdict := h.judge()
	require.Empty(t, verdict.Violations)
	require.True(t, verdict.Good())
	require.Equal(t, 3, verdict.Judged["yes"])
	require.Equal(t, 3, verdict.Judged["no"])
}

func TestDeletionsErasuresAndGuardedStreamsThatKeepEveryPromiseAreGood(t *testing.T) {
	h := newHistory(t)
	h.published("m1", 1, creation("1", "t_a", "th_1"))
	h.published("m2", 2, creation("2", "t_a", "th_2"))
	h.published("m3", 3, creation("3", "t_b", "th_3"))
	h.add(judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_a", Resource: "thread/th_4", At: second, Until: 2 * second, Status: 201})
	h.published("m4", 4, creation("4", "t_c", "th_4")) // conflicts with the claim, of which nothing is left
	h.add(judge.Record{Type: judge.Letter, Name: "m4", Reason: "conflict"})
	h.published("m5", 10, deletion("5", "th_1"))
	h.published("m6", 10, move("6", "t_a", "t_b", "th_1"))
	h.stream(judge.Record{Type: judge.Message, At: 13 * second}, judge.Record{Type: judge.StreamEnded, At: 14 * second, Reason: "ownership_lost"})
	h.add(judge.Record{Type: judge.Operator, Kind: judge.Erase, Tenant: "t_a", At: 20 * second, Status: -1}) // killed
	h.add(judge.Record{Type: judge.Operator, Kind: judge.Erase, Tenant: "t_a", Name: "t_erased-0", At: 22 * second, Until: 30 * second})
	h.published("m7", 31, creation("7", "t_a", "th_7")) // late: nobody's
	h.add(answer(judge.Check, "t_a", 44, 404))
	late := answer(judge.Check, "t_a", 44, 404)
	late.Resource = "thread/th_7"
	h.add(late, judge.Record{Type: judge.Claim, By: "c", Of: "serve-0", Tenant: "t_a", Resource: "thread/th_8", At: 44 * second, Until: 45 * second, Status: 409})
	h.calm()
	h.archived(tombstone("5", "th_1"), tombstone("6", "th_2"), tombstone("6", "th_4"), creation("3", "t_b", "th_3"), creation("7", "t_erased-0", "th_7"))
	h.owned("th_3", "t_b")
	h.owned("th_7", "t_erased-0")
	verdict := h.judge()
	require.Empty(t, verdict.Violations)
	require.Equal(t, 1, verdict.Judged["tenants erased"])
	require.Equal(t, 3, verdict.Judged["tombstones"])
	require.Equal(t, 1, verdict.Judged["messages of guarded streams"])
	require.Equal(t, 1, verdict.Met["operator: erase"])
}

func TestAnAnswerIsNotHeldAgainstALateMachine(t *testing.T) {
	h := whole(t)
	r := answer(judge.Check, "t_a", 3, 204)
	r.Until = r.At + 7*second
	h.add(r)
	for at, late := range map[int64]int64{0: 2 * second, 4: 400 * second / 1000, 11: 2 * second} { // before, too little, after
		h.add(judge.Record{Type: judge.Probe, At: at * second, Until: at*second + late})
	}
	require.Len(t, h.judge().Violations, 1)
	h.add(judge.Record{Type: judge.Probe, At: 9 * second, Until: 9*second + 600*second/1000})
	verdict := h.judge()
	require.Empty(t, verdict.Violations)
	require.Equal(t, 1, verdict.Judged["answers that were late because the machine was"])
}

func TestAnArchiveWithDeletionsIsJudgedWithoutARun(t *testing.T) {
	h := &history{t: t}
	h.archived(creation("1", "t_a", "th_1"), tombstone("5", "th_2"))
	h.owned("th_1", "t_a")
	require.Empty(t, h.judge().Violations)
	h.owned("th_2", "t_a")
	require.Len(t, h.judge().Violations, 1)
}
