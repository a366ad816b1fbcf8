package certified_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

var thread = registry.Resource{Kind: registry.Thread, ID: "th_1"}

// open returns a cache over a store, once it is certified.
func open(t *testing.T, store *memregistry.Store) *certified.Cache {
	t.Helper()
	c, err := certified.New(store, certified.Options{
		MaxStaleness: time.Minute, MaxAge: -1, Timeout: time.Second, Entries: 1000, Bytes: 1 << 20,
		Logger: slog.New(slog.DiscardHandler), MeterProvider: noop.NewMeterProvider(),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool { return !c.Stats().CertifiedSince.IsZero() }, 10*time.Second, time.Millisecond)
	return c
}

// read reads the thread and keeps it.
func read(t *testing.T, store *memregistry.Store, c *certified.Cache) {
	t.Helper()
	mark := c.Mark(thread)
	snapshot, err := store.Read(t.Context(), []registry.Resource{thread})
	require.NoError(t, err)
	c.Keep(thread, snapshot.Records[0].History, snapshot.Ledger, mark)
}

func TestOnlyTheOwnerIsAnsweredFromWhatIsKept(t *testing.T) {
	store := memregistry.New()
	c := open(t, store)
	_, why := c.Owns("t_ann", thread)
	require.Equal(t, certified.Absent, why)
	_, err := store.Claim(t.Context(), "t_ann", thread)
	require.NoError(t, err)
	read(t, store, c)
	owned, why := c.Owns("t_ann", thread)
	require.True(t, owned, why)
	_, why = c.Owns("t_bob", thread)
	require.Equal(t, certified.OtherOwner, why)
}

// A watcher keeps what it has read also of a resource that has no owner any more.
// Nobody owns that, not even a tenant without a name.
func TestThatNobodyOwnsAResourceIsNoAnswer(t *testing.T) {
	store := memregistry.New()
	c := open(t, store)
	read(t, store, c)
	for _, tenant := range []string{"", "t_ann"} {
		owned, why := c.Owns(tenant, thread)
		require.False(t, owned)
		require.Equal(t, certified.Unreliable, why)
		require.Equal(t, certified.Unreliable, c.Judge(tenant, thread).Why)
	}
}

func TestANilCacheKeepsNothingAndWatchesNothing(t *testing.T) {
	var c *certified.Cache
	c.Keep(thread, ownership.History{}, nil, c.Mark(thread))
	c.Missed(t.Context(), certified.Absent)
	<-c.Watch(t.Context(), thread)
	c.Close()
}
