package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

func TestVerifyHistoryJudgesAnArchiveAndAnExport(t *testing.T) {
	archive := write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	right, wrong := write(t, `{"kind":"thread","id":"th_1","tenant_id":"t_ada"}`), write(t, `{"kind":"thread","id":"th_1","tenant_id":"t_bob"}`)

	r := call(t, nil, "verify-history", archive, right)
	require.Equal(t, exitDone, r.code, r.stderr)
	require.Contains(t, r.stderr, "no violation")

	r = call(t, nil, "verify-history", archive, wrong)
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stdout, "VIOLATION the export is the fold of the archive: thread/th_1 is t_ada's, and t_bob's in the export")
	require.Contains(t, r.stderr, "1 violation")

	var verdict judge.Verdict
	require.NoError(t, json.Unmarshal([]byte(call(t, nil, "verify-history", "--json", archive, wrong).stdout), &verdict))
	require.Len(t, verdict.Violations, 1)
}

func TestVerifyHistorySaysWhatIsMissing(t *testing.T) {
	archive := write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	for said, args := range map[string][]string{
		"no FILE":             nil,
		"nothing to judge by": {archive},
		"no such file":        {archive + ".missing"},
	} {
		r := call(t, nil, append([]string{"verify-history"}, args...)...)
		require.Equal(t, exitUsage, r.code, said)
		require.Contains(t, r.stderr, said)
	}
	r := call(t, nil, "verify-history", write(t, `{"colour":"red"}`))
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, ":1: this is neither a record of a history")
}
