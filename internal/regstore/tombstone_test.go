package regstore_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

func creation(id string) ownership.Change {
	return ownership.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: id},
		Entry:    ownership.Entry{Type: ownership.Created, Tenant: "t_a", Version: ownership.Version{Time: time.Unix(5, 0), Source: "//n", ID: id}},
	}
}

func deletion(id string) ownership.Change {
	c := creation(id)
	c.Entry = ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: time.Unix(6, 0)}}
	return c
}

func TestTheIDOfATombstoneIsFreeAfterTheHorizonAndNotBefore(t *testing.T) {
	var ahead atomic.Int64
	db := memdb.New(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	s, err := regstore.Open(t.Context(), db, regstore.Options{DeletionHorizon: time.Hour, LedgerStaleness: time.Millisecond})
	require.NoError(t, err)
	defer s.Close()
	outcome := func(c ownership.Change) ownership.OutcomeKind {
		o := s.Apply(t.Context(), []ownership.Change{c})[0]
		require.NoError(t, o.Err)
		return o.Kind
	}
	sweep := func(name string) { // enough writes for the database to drop what has expired
		for i := range 5000 {
			outcome(creation(fmt.Sprint(name, i)))
		}
	}
	outcome(creation("th"))
	outcome(deletion("th"))
	sweep("a")
	require.Equal(t, ownership.Gone, outcome(creation("th")))
	ahead.Store(int64(2 * time.Hour))
	sweep("b")
	require.Equal(t, ownership.Applied, outcome(creation("th")))
	owner, err := s.Owner(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th"})
	require.NoError(t, err)
	require.Equal(t, "t_a", owner)
}

func TestATombstoneThatIsGivenATenantIsReported(t *testing.T) {
	var log bytes.Buffer
	memory := memregistry.New()
	s := memory.Open(memregistry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, c := range []ownership.Change{creation("th"), deletion("th")} {
		require.NoError(t, s.Apply(t.Context(), []ownership.Change{c})[0].Err)
	}
	require.NotContains(t, log.String(), "level=ERROR")
	memory.SetPlain("thread__th", "t_p", true)
	_, err := s.Owner(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th"})
	require.ErrorIs(t, err, registry.ErrNotFound)
	require.Contains(t, log.String(), "a program gave a deleted resource a tenant, which has no effect")
	require.Contains(t, log.String(), "document=thread__th")
}
