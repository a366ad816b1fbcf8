package regstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The rules that every test goes through refuse what the service refuses of
// real-time queries.
func TestListeningLivesByTheServicesRules(t *testing.T) {
	s := open(t, emulatortest.Firestore(t))
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 1)))
	ctx, cancel := context.WithCancel(t.Context())
	changed, listens := make(chan registry.Resource, 10), make(chan struct{})
	begun := sync.OnceFunc(func() { close(listens) })
	cursor := ownership.NewFeedCursor(func(entries []ownership.FeedEntry) {
		for _, e := range entries {
			changed <- e.Resources[0]
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- s.Listen(ctx, cursor, func(int64) { begun() }) }()
	select {
	case <-listens:
	case err := <-ended:
		require.NoError(t, err, "the listener ended")
	}
	move := creations("x", 1)[0]
	move.Entry = ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(9, 0), Source: "//nexus", ID: "m"}}
	requireAll(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{move}))
	require.Equal(t, move.Resource, <-changed)
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrUnavailable)
}
