package quotastore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func TestTheActionsOfATenantAreItsOwnAlone(t *testing.T) {
	store := memquota.New()
	for _, key := range []limits.Key{
		{Tenant: "t_a", Action: "chat_send"}, {Tenant: "t_a", Action: "stream_connect"}, {Tenant: "t_a", Action: limits.TotalAction},
		{Tenant: "t_a__b", Action: "chat_send"}, {Tenant: "t_ab", Action: "chat_send"}, {Tenant: "t_a-", Action: "chat_send"},
	} {
		_, err := store.Save(t.Context(), key, limits.Change{Window: limits.Window{Count: 1}, Since: limits.Absent, ExpiresAt: time.Now().Add(time.Hour)})
		require.NoError(t, err)
	}
	actions, more, err := store.TenantActions(t.Context(), "t_a", 10)
	require.NoError(t, err)
	require.Equal(t, []string{limits.TotalAction, "chat_send", "stream_connect"}, actions)
	require.False(t, more)
	_, more, err = store.TenantActions(t.Context(), "t_a", 2)
	require.NoError(t, err)
	require.True(t, more)
	_, _, err = store.TenantActions(t.Context(), "a", 2)
	require.ErrorIs(t, err, limits.ErrInvalid)
}
