package regstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

func TestWhatIsWrittenIsNotWaitedForAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := regstore.Open(t.Context(), memdb.New(time.Now), regstore.Options{})
		require.NoError(t, err)
		began := time.Now()
		for _, kind := range []ownership.OutcomeKind{ownership.Applied, ownership.Duplicate} {
			requireAll(t, kind, s.Apply(t.Context(), creations("x", 3)))
		}
		requireAll(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{{Resource: creations("x", 1)[0].Resource, Entry: ownership.Entry{
			Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: began, Source: "//nexus", ID: "m"}}}}))
		require.Zero(t, time.Since(began), "a backoff is between attempts")
	})
}
