package memquota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/internal/quotatest"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func TestStore(t *testing.T) {
	quotatest.Run(t, func(t *testing.T) quotatest.Backend {
		store := memquota.New()
		policies := map[string]map[string]any{}
		return quotatest.Backend{
			Store: store, Other: store, SetPlain: store.SetPlain,
			GetPlain: func(key quota.Key) (float64, int64) {
				s, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				return s.Window.LastReset, s.Window.Count
			},
			SetPolicy: func(name string, fields map[string]any) {
				policies[name] = fields
				var documents []quota.PolicyDocument
				for name, fields := range policies {
					if fields != nil {
						documents = append(documents, quota.PolicyDocument{Name: name, Fields: fields})
					}
				}
				store.SetPolicies(documents...)
			},
		}
	})
}

func TestExpiredDocumentsAreDropped(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	store := memquota.NewAt(func() time.Time { return now })
	for i := range 100_000 {
		now = now.Add(time.Second)
		key := quota.Key{Tenant: fmt.Sprintf("t_%d", i), Action: "x"}
		_, err := store.Save(t.Context(), key, quota.Change{Since: quota.Absent, ExpiresAt: now.Add(time.Minute)})
		require.NoError(t, err)
	}
	require.Less(t, store.Len(), 2048)
}
