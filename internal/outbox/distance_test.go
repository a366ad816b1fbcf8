package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Firestore is in another region, behind the service's rules. What is claimed is
// published soon; and what a process left is swept.
func TestTheOutboxWorksAtADistanceUnderTheServicesRules(t *testing.T) {
	t.Parallel()
	project := emulatortest.Firestore(t)
	process := func() *regstore.Store {
		db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions()})
		require.NoError(t, err)
		s, err := regstore.Open(t.Context(), db, regstore.Options{OutboxPatience: time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s, left := process(), process()
	_, _, err := s.BeginLog(t.Context())
	require.NoError(t, err)
	project.FirestoreRules.Distance(50 * time.Millisecond)
	var want []string
	claims := func(s *regstore.Store, name string) {
		var group errgroup.Group
		for i := range 40 {
			r := registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint(name, i)}
			want = append(want, ownership.ClaimEntry("t_a", r, time.Time{}).ID)
			group.Go(func() error { _, err := s.Claim(t.Context(), "t_a", r); return err })
		}
		require.NoError(t, group.Wait())
		slices.Sort(want)
	}
	claims(left, "left") // nobody publishes there
	p := &topic{}
	publisher, err := outbox.New(s, outbox.Options{
		Holder: "a", Every: time.Second, Logger: slog.New(slog.DiscardHandler),
		Open: func(context.Context) (outbox.Topic, error) { return p, nil },
	})
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { publisher.Run(ctx); close(ended) }()
	claims(s, "own")
	require.Eventually(t, func() bool { return slices.Equal(want, p.distinct()) }, time.Minute, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		state, err := s.ReadOutbox(t.Context())
		require.NoError(t, err)
		return state.Waiting == 0
	}, time.Minute, 100*time.Millisecond)
	end()
	<-ended
}
