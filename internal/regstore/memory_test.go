package regstore_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
)

func TestTheStoreOverMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		db := memdb.New(time.Now)
		open := func(l *slog.Logger) storetest.Store {
			s, err := regstore.Open(t.Context(), db, regstore.Options{
				LedgerRate: 1e6, Logger: l, SnapshotEvery: storetest.SnapshotEvery, ChunkBytes: storetest.ChunkBytes,
				OutboxPatience: storetest.OutboxPatience,
			})
			require.NoError(t, err)
			return s
		}
		outside := storetest.Outside{DB: db}
		return storetest.Backend{
			Open:          func() storetest.Store { return open(nil) },
			OpenLogged:    open,
			SetPlain:      outside.SetPlain,
			SetField:      outside.SetField,
			Fields:        outside.Fields,
			SetFormat:     outside.SetFormat,
			SetMoveFormat: outside.SetMoveFormat,
			SetHead:       outside.SetHead,
			ChangeLedger: func(s storetest.Store, changes []ownership.LedgerChange) []ownership.Outcome {
				return s.(*regstore.Store).ChangeLedger(t.Context(), changes)
			},
			Backup: outside.Backup,
			Feed:   outside.Feed,
		}
	})
}
