package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// An export that is not of one time may hold a document of the outbox, and beside it that
// all up to a later time was swept.
func TestARecoveredRegistryIsSweptFromTheFirstName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, s := logging(t)
		id := claim(t, s, "1")
		var old *docdb.Document
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: regstore.OutboxCollection}, func(d *docdb.Document) error { old = d; return nil }))
		end := run(t, s, &topic{}, outbox.Options{})
		time.Sleep(10 * time.Minute)
		end()
		require.Zero(t, waiting(t, db))

		_, err := db.Commit(t.Context(), docdb.Write{Name: old.Name, Fields: old.Fields})
		require.NoError(t, err)
		p := &topic{}
		defer run(t, s, p, outbox.Options{})()
		time.Sleep(10 * time.Minute)
		require.Empty(t, p.distinct(), "no process of this epoch can have written it")
		_, _, err = s.Recover(t.Context())
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		require.Equal(t, []string{id}, p.distinct())
		require.Zero(t, waiting(t, db))
	})
}
