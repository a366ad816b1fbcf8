package firestoreadmin_test

import (
	"testing"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin"
	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin/firestoreadmintest"
)

func connect(t *testing.T, s *firestoreadmintest.Server) *admin.FirestoreAdminClient {
	client, err := admin.NewFirestoreAdminClient(t.Context(), s.Start(t)...)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

var staging = firestoreadmin.Database{Project: "p", ID: "(default)", Prefix: "staging_"}

func TestWhatDiffersIsChangedOnceWithThePrefix(t *testing.T) {
	f := &firestoreadmintest.Server{}
	client := connect(t, f)
	all, err := staging.Wanted()
	require.NoError(t, err)
	changes, err := staging.Differences(t.Context(), client)
	require.NoError(t, err)
	composites, err := staging.Composites()
	require.NoError(t, err)
	require.Len(t, changes, len(all)+len(composites), "a new database has none")
	for _, c := range changes {
		require.Contains(t, c.String(), " staging_")
		_, err := c.Apply(t.Context(), client)
		require.NoError(t, err)
	}
	changes, err = staging.Differences(t.Context(), client)
	require.NoError(t, err)
	require.Empty(t, changes)

	seq := f.Fields["projects/p/databases/(default)/collectionGroups/staging_realtime_registry_ledger/fields/seq"]
	seq.IndexConfig = &adminpb.Field_IndexConfig{}
	f.Fields["projects/p/databases/(default)/collectionGroups/staging_realtime_registry_feed/fields/expires_at"].TtlConfig = nil
	changes, err = staging.Differences(t.Context(), client)
	require.NoError(t, err)
	require.Len(t, changes, 2)
	text := changes[0].String() + "\n" + changes[1].String()
	require.Contains(t, text, "staging_realtime_registry_ledger.seq: ascending (has no index)")
	require.Contains(t, text, "staging_realtime_registry_feed.expires_at: documents expire at its time")
}

func TestWhoMayNotLookIsTold(t *testing.T) {
	_, err := staging.Differences(t.Context(), connect(t, &firestoreadmintest.Server{MayNotLook: true}))
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.ErrorContains(t, err, "staging_realtime_registry")
}

func TestAChangeCanBeMadeByHand(t *testing.T) {
	all, err := staging.All()
	require.NoError(t, err)
	commands := map[string]bool{}
	for _, c := range all {
		for _, command := range c.Commands() {
			commands[command] = true
		}
	}
	for _, want := range []string{
		"gcloud firestore indexes fields update 'tenant_id' --collection-group='staging_realtime_registry' --database='(default)' --project='p' --async --index=order=ascending",
		"gcloud firestore indexes fields update 'path' --collection-group='staging_realtime_registry' --database='(default)' --project='p' --async --index=array-config=contains",
		"gcloud firestore indexes fields update 'history' --collection-group='staging_realtime_registry' --database='(default)' --project='p' --async --disable-indexes",
		"gcloud firestore fields ttls update 'expires_at' --collection-group='staging_rate_limit_counters' --database='(default)' --project='p' --async --enable-ttl",
		"gcloud firestore indexes composite create --collection-group='staging_realtime_registry_feed' --database='(default)' --project='p' --async --field-config=field-path='shard',order=ascending --field-config=field-path='changed_at',order=ascending",
	} {
		require.Contains(t, commands, want)
	}
}
