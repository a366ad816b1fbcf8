package fsquota_test

import (
	"context"
	"testing"
	"time"

	gcp "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
	"github.com/northstar-engines/realtime-registry/quota/internal/quotatest"
)

func open(t *testing.T, project emulatortest.Project, prefix string, dial ...grpc.DialOption) *fsquota.Store {
	store, err := fsquota.Open(t.Context(), fsquota.Options{
		ProjectID: project.ID, Prefix: prefix, ClientOptions: project.FirestoreOptions(dial...),
	})
	require.NoError(t, err)
	return store
}

// outsider is a client that knows nothing of this package.
func outsider(t *testing.T, project emulatortest.Project) *gcp.Client {
	client, err := gcp.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)
	return client
}

func TestStore(t *testing.T) {
	quotatest.Run(t, func(t *testing.T) quotatest.Backend {
		project := emulatortest.Firestore(t)
		client := outsider(t, project)
		counter := func(key limits.Key) *gcp.DocumentRef {
			return client.Collection("dev_rate_limit_counters").Doc(key.Tenant + "__" + key.Action)
		}
		return quotatest.Backend{
			Store: open(t, project, "dev_"), Other: open(t, project, "dev_"),
			SetPlain: func(key limits.Key, lastReset float64, count int64) {
				_, err := counter(key).Set(t.Context(), map[string]any{"last_reset": lastReset, "count": count})
				require.NoError(t, err)
			},
			GetPlain: func(key limits.Key) (float64, int64) {
				d, err := counter(key).Get(t.Context())
				require.NoError(t, err)
				return d.Data()["last_reset"].(float64), d.Data()["count"].(int64)
			},
			SetPolicy: func(name string, fields map[string]any) {
				policy := client.Collection("dev_rate_limit_policies").Doc(name)
				var err error
				if fields == nil {
					_, err = policy.Delete(t.Context())
				} else {
					_, err = policy.Set(t.Context(), fields)
				}
				require.NoError(t, err)
			},
		}
	})
}

func TestADatabaseThatCannotBeHadIsAnErrorThatNamesIt(t *testing.T) {
	project := emulatortest.Firestore(t)
	project.FirestoreHost = "127.0.0.1:1"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := fsquota.Open(ctx, fsquota.Options{ProjectID: "p-nowhere", Database: "other", ClientOptions: project.FirestoreOptions()})
	require.ErrorIs(t, err, quota.ErrUnavailable)
	require.ErrorContains(t, err, "p-nowhere")
	require.ErrorContains(t, err, "other")

	_, err = fsquota.Open(ctx, fsquota.Options{Prefix: "a/b"})
	require.ErrorContains(t, err, "ProjectID is missing")
	require.ErrorContains(t, err, "a/b")
}
