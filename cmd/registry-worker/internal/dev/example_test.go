package dev

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// The example has one of everything that a newcomer should have seen.
func TestTheExampleShowsEveryKindOfEvent(t *testing.T) {
	store := memregistry.New()
	became := map[string]int{}
	types := map[events.Type]int{}
	for _, m := range Example() {
		require.NotEmpty(t, m.Topic)
		event, err := events.Decode(m.Attributes, m.Data, time.Now())
		if err != nil {
			require.Equal(t, "ex-10", m.EventID)
			became["refused"]++
			continue
		}
		types[event.Type()]++
		for _, outcome := range store.Apply(t.Context(), handlers.Changes(event)) {
			became[string(outcome.Kind)]++
		}
	}
	require.Equal(t, map[string]int{"applied": 8, "duplicate": 1, "conflict": 1, "refused": 1}, became)
	require.Equal(t, map[events.Type]int{events.ThreadCreatedType: 6, events.CanvasCreatedType: 2, events.TenantMovedType: 2}, types)

	snapshot, err := store.Read(t.Context(), ExampleResources)
	require.NoError(t, err)
	listed := 0
	require.NoError(t, store.Export(t.Context(), func(ownership.Record, *ownership.Ledger) error { listed++; return nil }))
	require.Len(t, snapshot.Records, listed, "the page lists all that there is")
	for _, r := range snapshot.Records {
		require.NotEmpty(t, r.History.Owner(snapshot.Ledger))
	}
}
