package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/replay"
)

func TestARefusedLineIsNotedOnceThoughTheReplayWasKilledInBetween(t *testing.T) {
	file := filepath.Join(t.TempDir(), "refused.ndjson")
	in := &invocation{Config: &config.Config{Refused: file}}
	note := func(resumed bool, lines ...int) {
		r, err := in.refusals(t.Context(), resumed)
		require.NoError(t, err)
		for _, n := range lines {
			require.NoError(t, r.write(replay.Refusal{File: "f", Line: n, Reason: "schema"}))
		}
		require.NoError(t, r.close())
	}
	text := func() string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(text)
	}
	note(false, 1, 2, 3)
	want := text()
	require.NoError(t, os.Truncate(file, int64(len(want)-5)), "killed while it wrote the last")
	note(true, 2, 3)
	require.Equal(t, want, text())
	note(false, 1, 2, 3)
	require.Equal(t, want, text(), "a replay that begins anew begins the file anew")
}
