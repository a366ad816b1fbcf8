package judge_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

func TestAProcessThatIsDeadNeedNotAnswer(t *testing.T) {
	h := whole(t)
	h.add(
		judge.Record{Type: judge.Fault, Kind: judge.Killed, Of: "serve-0", At: 5 * second, Until: 7 * second},
		answer(judge.Check, "t_a", 5, 0),
	)
	require.Empty(t, h.judge().Violations)
}

func TestAProcessThatEndsByItselfNeedNotAnswerWhileItCloses(t *testing.T) {
	h := whole(t)
	h.add(
		judge.Record{Type: judge.Process, Of: "serve-0", Kind: "started", At: 4 * second},
		judge.Record{Type: judge.Fault, Kind: judge.CutOff, Of: "serve-0", At: 4 * second, Until: 9 * second},
		judge.Record{Type: judge.Fault, Kind: judge.Ended, Of: "serve-0", At: 9 * second, Until: 10 * second, Status: 1},
		answer(judge.Check, "t_a", 5, 0),
	)
	require.Empty(t, h.judge().Violations)
}

func TestTheStateOfAWatchMayBeAsOldAsACheck(t *testing.T) {
	h := whole(t)
	h.add(
		judge.Record{Type: judge.Watch, Name: "w", Of: "serve-0", At: 12 * second, Owned: []judge.Ownership{{Tenant: "t_a", Resource: "thread/th_1"}}},
		judge.Record{Type: judge.State, Name: "w", At: 13 * second},
		judge.Record{Type: judge.Lost, Name: "w", Indexes: []int{0}, At: 14 * second},
	)
	require.Empty(t, h.judge().Violations)
}

func TestAPauseIsNotCountedAsTheAnswersTime(t *testing.T) {
	h := whole(t)
	h.add(judge.Record{Type: judge.Fault, Kind: judge.Paused, Of: "serve-0", At: 3 * second, Until: 8 * second})
	r := answer(judge.Check, "t_a", 3, 204)
	r.Until = r.At + 7*second
	h.add(r)
	require.Empty(t, h.judge().Violations)
}

func TestARequestThatALongPauseHasCutOffNeedsNoAnswer(t *testing.T) {
	for paused, want := range map[int64]int{30: 0, 2: 1} { // seconds; a short one explains nothing
		h := whole(t)
		h.add(judge.Record{Type: judge.Fault, Kind: judge.Paused, Of: "serve-0", At: 4 * second, Until: (4 + paused) * second})
		r := answer(judge.Check, "t_a", 3, 0)
		r.Until = (4 + paused) * second
		h.add(r)
		require.Len(t, h.judge().Violations, want, "paused for %d s", paused)
	}
}

func TestADisplacedEventIsMarked(t *testing.T) {
	h := whole(t)
	h.published("m3", 20, creation("4", "t_c", "th_3"))
	h.published("m4", 21, creation("3", "t_d", "th_3"))
	h.archived(creation("3", "t_d", "th_3"))
	h.owned("th_3", "t_d")
	require.Len(t, h.judge().Violations, 1, "it is neither applied nor refused")
	h.add(judge.Record{Type: judge.Displaced, Source: "//t", ID: "4", Resource: "thread/th_3"}, judge.Record{Type: judge.Letter, Name: "m3", Reason: "conflict"})
	require.Empty(t, h.judge().Violations)
}

func TestARunThatMetTooLittleIsNotGood(t *testing.T) {
	h := whole(t)
	h.lines[0] = strings.Replace(h.lines[0], `"seed"`, `"must":["process killed"],"seed"`, 1)
	verdict := h.judge()
	require.Empty(t, verdict.Violations)
	require.Equal(t, []string{judge.Killed}, verdict.Missing)
	require.False(t, verdict.Good())
}

func TestAnArchiveAndAnExportAreJudgedWithoutARun(t *testing.T) {
	h := &history{t: t}
	h.archived(creation("1", "t_a", "th_1"), move("2", "t_a", "t_b", "th_1"))
	h.owned("th_1", "t_b")
	require.True(t, h.judge().Good())
	h.lines[2] = strings.Replace(h.lines[2], "t_b", "t_a", 1)
	require.Len(t, h.judge().Violations, 1)
}

func TestWhatIsNoHistoryIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	for text, want := range map[string]string{
		`{"type":"check","at":1,"colour":"red"}`:      "unknown field",
		`{"kind":"video","id":"1","tenant_id":"t_a"}`: "kind",
		`[]`:   "f:1",
		`{}`:   "neither a record",
		`{"ty`: "unexpected end",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text+"\n"), 0o600))
		_, err := judge.Read(context.Background(), []string{file}, nil)
		require.ErrorContains(t, err, want, text)
	}
	require.NoError(t, os.WriteFile(file, []byte(creation("1", "t_a", "th_1")+"\n"), 0o600))
	read, err := judge.Read(context.Background(), []string{file}, nil)
	require.NoError(t, err)
	_, err = judge.Judge(read)
	require.ErrorIs(t, err, judge.ErrNothing)
}
