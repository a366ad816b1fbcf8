package regstore_test

import (
	"context"
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
	notices, ended := make(chan ownership.Notice, 10), make(chan error, 1)
	go func() { ended <- s.Listen(ctx, func(n ownership.Notice) { notices <- n }) }()
	await := func(what string) ownership.Notice {
		t.Helper()
		select {
		case n := <-notices:
			return n
		case err := <-ended:
			require.FailNow(t, "the listener ended", "before %s: %v", what, err)
		case <-time.After(30 * time.Second):
			require.FailNow(t, "nothing was told of "+what)
		}
		return ownership.Notice{}
	}
	require.Empty(t, await("its beginning").Entries)
	move := creations("x", 1)[0]
	move.Entry = ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(9, 0), Source: "//nexus", ID: "m"}}
	requireAll(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{move}))
	notice := await("a change")
	for len(notice.Entries) == 0 { // the head as it is
		notice = await("a change")
	}
	require.Equal(t, move.Resource, notice.Entries[0].Resource)
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrUnavailable)
}
