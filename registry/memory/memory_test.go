package memory_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/storetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		store := memory.New()
		return storetest.Backend{
			Open:          func() storetest.Store { return store },
			OpenLogged:    func(l *slog.Logger) storetest.Store { return store.Open(memory.Options{Logger: l}) },
			SetPlain:      store.SetPlain,
			SetFormat:     store.SetFormat,
			SetMoveFormat: store.SetMoveFormat,
			ChangeLedger: func(s storetest.Store, changes []registry.LedgerChange) []registry.Outcome {
				return s.(*memory.Store).ChangeLedger(t.Context(), changes)
			},
			SetHead: store.SetHead,
			Feed: func() (resources []registry.Resource) {
				for _, e := range store.Feed() {
					resources = append(resources, e.Resource)
				}
				return resources
			},
		}
	})
}

func TestTheFeedTellsWhatIsCommittedInTheMomentOfARead(t *testing.T) {
	now := time.Now()
	store := memory.NewAt(func() time.Time { return now })
	r := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	_, err := store.Claim(t.Context(), "t_ann", r)
	require.NoError(t, err)
	now = now.Add(time.Second)
	batch, err := store.Changes(t.Context(), now.Add(-time.Second))
	require.NoError(t, err)
	require.Equal(t, registry.Applied, store.Apply(t.Context(), []registry.Change{{Resource: r, Entry: registry.Entry{
		Type: registry.Moved, From: "t_ann", To: "t_bob", Version: registry.Version{Time: now, Source: "test", ID: "m"},
	}}})[0].Kind)
	batch, err = store.Changes(t.Context(), batch.At)
	require.NoError(t, err)
	require.Len(t, batch.Entries, 1)
}
