package memquota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota/internal/quotatest"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func TestStore(t *testing.T) {
	quotatest.Run(t, func(t *testing.T) quotatest.Backend {
		store := memquota.New()
		policies := map[string]map[string]any{}
		return quotatest.Backend{
			Store: store, Other: store, SetPlain: func(key limits.Key, lastReset float64, count int64) {
				store.SetPlain(key.Tenant, key.Action, lastReset, count)
			},
			GetPlain: func(key limits.Key) (float64, int64) {
				s, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				return s.Window.LastReset, s.Window.Count
			},
			SetPolicy: func(name string, fields map[string]any) {
				if policies[name] = fields; fields == nil {
					delete(policies, name)
				}
				store.SetPolicies(policies)
			},
		}
	})
}

func TestExpiredDocumentsAreDropped(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	store := memquota.NewAt(func() time.Time { return now })
	for i := range 100_000 {
		now = now.Add(time.Second)
		key := limits.Key{Tenant: fmt.Sprintf("t_%d", i), Action: "x"}
		_, err := store.Save(t.Context(), key, limits.Change{Since: limits.Absent, ExpiresAt: now.Add(time.Minute)})
		require.NoError(t, err)
	}
	require.Less(t, store.Len(), 2048)
}
