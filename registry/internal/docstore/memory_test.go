package docstore_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/docstore"
	"github.com/northstar-engines/realtime-registry/registry/storetest"
)

func TestTheStoreOverMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend {
		db := memdb.New(time.Now)
		open := func(l *slog.Logger) storetest.Store {
			s, err := docstore.Open(t.Context(), db, docstore.Options{LedgerRate: 1e6, Logger: l})
			require.NoError(t, err)
			return s
		}
		outside := storetest.Outside{DB: db}
		return storetest.Backend{
			Open:          func() storetest.Store { return open(nil) },
			OpenLogged:    open,
			SetPlain:      outside.SetPlain,
			SetFormat:     outside.SetFormat,
			SetMoveFormat: outside.SetMoveFormat,
			SetHead:       outside.SetHead,
			ChangeLedger: func(s storetest.Store, changes []registry.LedgerChange) []registry.Outcome {
				return s.(*docstore.Store).ChangeLedger(t.Context(), changes)
			},
			Feed: outside.Feed,
		}
	})
}
