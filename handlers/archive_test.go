package handlers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// throughAFile writes an event as an archive has it, and reads it again.
func throughAFile(t *testing.T, e events.Event) events.Event {
	t.Helper()
	line, err := json.Marshal(e)
	require.NoError(t, err)
	read, err := archived.Decode(line, e.Time)
	require.NoError(t, err)
	return read
}

func TestAHistoryIsTheSameAfterItsArchive(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	for _, r := range []registry.Resource{{Kind: registry.Thread, ID: "th:1"}, {Kind: registry.Canvas, ID: "c=1"}} {
		var history ownership.History
		for _, e := range []ownership.Entry{
			{Type: ownership.Claimed, Tenant: "t_a", Version: ownership.ClaimEntry("t_a", r, at).Version, Event: ownership.EventName{Source: "//n", ID: "e"}},
			{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: at.Add(1), Source: "//n", ID: "m"}},
			{Type: ownership.Asserted, Tenant: "t_c", Version: ownership.Version{Time: at.Add(2)}},
			{Type: ownership.Asserted, Tenant: "t_d", Version: ownership.Version{Time: at.Add(3)}},
			{Type: ownership.Moved, From: "t_x", To: "t_y", Version: ownership.Version{Time: at.Add(-4), Source: "//n", ID: "early"}},
		} {
			history, _ = history.Merge(e)
		}
		var again ownership.History
		for _, e := range handlers.Archive(r, history) {
			for _, c := range handlers.Changes(throughAFile(t, e)) {
				require.Equal(t, r, c.Resource)
				again, _ = again.Merge(c.Entry)
			}
		}
		require.Equal(t, history, again)
	}
}

func TestATombstoneIsTheSameAfterItsArchive(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	for _, r := range []registry.Resource{{Kind: registry.Thread, ID: "th:1"}, {Kind: registry.Canvas, ID: "c=1"}} {
		tombstone := ownership.History{{Type: ownership.Deleted, Version: ownership.Version{Time: at}}}
		lines := handlers.Archive(r, tombstone)
		require.Len(t, lines, 1)
		require.Equal(t, "registry", lines[0].Source)
		require.Equal(t, []ownership.Change{{Resource: r, Entry: tombstone[0]}}, handlers.Changes(throughAFile(t, lines[0])))
	}
}

func TestALedgerEntryIsTheSameAfterItsArchive(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)
	version := ownership.Version{Time: at, Source: "//n", ID: "m"}
	for name, entry := range map[string]ownership.LedgerEntry{
		"counting":  {Version: version, From: "t_a", To: "t_b"},
		"retracted": {Version: version, From: "t_a", To: "t_b", Retractions: []ownership.Said{{By: "ops", At: at.Add(time.Hour)}, {By: "kim", At: at}}},
		"tombstone": {Version: ownership.Version{Source: "//n", ID: "m"}, RetractionOnly: true, Retractions: []ownership.Said{{By: "ops", At: at}}},
	} {
		t.Run(name, func(t *testing.T) {
			var again ownership.LedgerEntry
			exists := false
			for _, e := range handlers.ArchiveMove(entry) {
				e = throughAFile(t, e)
				for _, c := range handlers.Changes(e) {
					require.Zero(t, c.Resource)
					again, _, _ = again.Merge(c.Entry, exists)
				}
				exists = true
			}
			again.Rewriting = ownership.Rewriting{}
			require.Equal(t, entry, again)
		})
	}
}
