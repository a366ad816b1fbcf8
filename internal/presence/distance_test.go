package presence_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/presence"
)

func TestAProcessIsListedAtADistanceUnderTheServicesRules(t *testing.T) {
	t.Parallel()
	p := emulatortest.Firestore(t)
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	defer db.Close()
	p.FirestoreRules.Distance(50 * time.Millisecond)
	listed := func() int {
		all, err := presence.List(t.Context(), db)
		require.NoError(t, err)
		return len(all)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		presence.Keep(ctx, db, presence.Process{ID: "a", Role: "worker", Version: "v1"}, func() presence.Held { return presence.Held{} }, slog.New(slog.DiscardHandler))
		close(ended)
	}()
	require.Eventually(t, func() bool { return listed() == 1 }, time.Minute, time.Millisecond)
	end()
	<-ended
	require.Zero(t, listed(), "it has taken it back within its second")
}
