package docstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/docstore"
)

func TestWhatIsWrittenIsNotWaitedForAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := docstore.Open(t.Context(), memdb.New(time.Now), docstore.Options{})
		require.NoError(t, err)
		began := time.Now()
		for _, kind := range []registry.OutcomeKind{registry.Applied, registry.Duplicate} {
			requireAll(t, kind, s.Apply(t.Context(), creations("x", 3)))
		}
		requireAll(t, registry.Applied, s.Apply(t.Context(), []registry.Change{{Resource: creations("x", 1)[0].Resource, Entry: registry.Entry{
			Type: registry.Moved, From: "t_a", To: "t_b", Version: registry.Version{Time: began, Source: "//nexus", ID: "m"}}}}))
		require.Zero(t, time.Since(began), "a backoff is between attempts")
	})
}
