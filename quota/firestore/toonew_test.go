package firestore_test

import (
	"testing"
	"time"

	gcp "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/quota"
)

func TestAWindowOfALaterReleaseIsLeftAlone(t *testing.T) {
	project := emulatortest.Firestore(t)
	store, window := open(t, project, ""), outsider(t, project).Collection("rate_limit_counters").Doc("t_a__send")
	key := quota.Key{Tenant: "t_a", Action: "send"}
	_, err := window.Set(t.Context(), map[string]any{"last_reset": float64(time.Now().Unix()), "count": 1, "format": 9})
	require.NoError(t, err)
	before, err := window.Get(t.Context())
	require.NoError(t, err)

	limiter, err := quota.New(store, quota.Options{})
	require.NoError(t, err)
	defer limiter.Close(t.Context())
	_, err = limiter.Allow(t.Context(), "t_a", "send")
	require.ErrorIs(t, err, quota.ErrUnavailable, "neither an allow nor a refusal")
	_, err = store.Load(t.Context(), key)
	require.ErrorIs(t, err, quota.ErrTooNew)
	require.ErrorContains(t, err, "rate_limit_counters/t_a__send")
	_, err = quota.Show(t.Context(), store, quota.PolicySet{}, key)
	require.ErrorIs(t, err, quota.ErrTooNew)
	after, err := window.Get(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.UpdateTime, after.UpdateTime)
	_, err = limiter.Allow(t.Context(), "t_b", "send")
	require.NoError(t, err, "others go on")
}

func TestAWriteOfAWindowLeavesTheFieldsOfOthersAlone(t *testing.T) {
	project := emulatortest.Firestore(t)
	store, window := open(t, project, ""), outsider(t, project).Collection("rate_limit_counters").Doc("t_a__send")
	limiter, err := quota.New(store, quota.Options{})
	require.NoError(t, err)
	_, err = window.Set(t.Context(), map[string]any{"last_reset": float64(time.Now().Unix()), "count": 1, "region": "eu"})
	require.NoError(t, err)
	_, err = limiter.Allow(t.Context(), "t_a", "send")
	require.NoError(t, err)
	require.NoError(t, limiter.Close(t.Context()))
	var d *gcp.DocumentSnapshot
	d, err = window.Get(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, d.Data()["format"], "it was written")
	require.Equal(t, "eu", d.Data()["region"])
}
