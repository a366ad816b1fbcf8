package fsquota_test

import (
	"testing"
	"time"

	gcp "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

func TestAWindowOfALaterReleaseIsLeftAlone(t *testing.T) {
	project := emulatortest.Firestore(t)
	store, window := open(t, project, ""), outsider(t, project).Collection("rate_limit_counters").Doc("t_a__send")
	key := limits.Key{Tenant: "t_a", Action: "send"}
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
	_, err = limits.Show(t.Context(), store, limits.PolicySet{}, key)
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

// A notice tells processes of a reset. One of a later release may tell of more
// than this version knows.
func TestANoticeOfAResetOfALaterReleaseIsLeftAlone(t *testing.T) {
	project := emulatortest.Firestore(t)
	store, c := open(t, project, ""), outsider(t, project)
	key := limits.Key{Tenant: "t_a", Action: "send"}
	notice, window := c.Collection("rate_limit_resets").Doc("t_a__send"), c.Collection("rate_limit_counters").Doc("t_a__send")
	limiter, err := quota.New(store, quota.Options{Policies: []quota.Policy{{Limit: 1, Window: time.Hour}}})
	require.NoError(t, err)
	defer limiter.Close(t.Context())
	allowed := func() bool {
		d, err := limiter.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
		return d.Allowed
	}
	require.True(t, allowed())
	require.False(t, allowed(), "it is full, and known to be")

	snapshot, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	anew := limits.Window{LastReset: float64(time.Now().Unix()), Generation: snapshot.Window.Generation + 1}
	_, err = store.Save(t.Context(), key, limits.Change{Window: anew, Since: snapshot.Version, ExpiresAt: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = notice.Set(t.Context(), map[string]any{"generations": []int64{1, 2}, "format": 9})
	require.NoError(t, err)
	require.Eventually(t, allowed, 30*time.Second, 10*time.Millisecond, "who is told of what it does not understand looks at the window itself")

	before, err := notice.Get(t.Context())
	require.NoError(t, err)
	counted, err := window.Get(t.Context())
	require.NoError(t, err)
	_, err = limits.Reset(t.Context(), store, key, "alice")
	require.ErrorIs(t, err, quota.ErrTooNew)
	require.ErrorIs(t, err, quota.ErrUnavailable)
	require.ErrorContains(t, err, "rate_limit_resets/t_a__send")
	for ref, was := range map[*gcp.DocumentRef]*gcp.DocumentSnapshot{notice: before, window: counted} {
		is, err := ref.Get(t.Context())
		require.NoError(t, err)
		require.Equal(t, was.Data(), is.Data(), ref.ID)
		if ref == notice {
			require.Equal(t, was.UpdateTime, is.UpdateTime)
		}
	}
	_, err = limits.Reset(t.Context(), store, limits.Key{Tenant: "t_b", Action: "send"}, "alice")
	require.NoError(t, err, "others go on")
}

// An older release begins a window, and leaves what it does not know where it is:
// what others said of the window before.
func TestWhatWasSaidOfAnotherWindowMeansNothing(t *testing.T) {
	project := emulatortest.Firestore(t)
	store, window := open(t, project, ""), outsider(t, project).Collection("rate_limit_counters").Doc("t_a__send")
	key := limits.Key{Tenant: "t_a", Action: "send"}
	w := limits.Window{LastReset: 1795441715.5, Count: 90, Length: time.Minute, Limit: 100, Generation: 3,
		Sharing: limits.Sharing{Writes: 100, Processes: 50, Parts: 8, PartLimit: 10, Parted: 1}}
	_, err := store.Save(t.Context(), key, limits.Change{Window: w, Since: limits.Absent, ExpiresAt: time.Now()})
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		update []gcp.Update
	}{
		{"the next window", []gcp.Update{{Path: "last_reset", Value: 1795441775.5}, {Path: "count", Value: 1}}},
		{"a reset one", []gcp.Update{{Path: "last_reset", Value: 1795441715.5}, {Path: "generation", Value: 4}}},
	} {
		_, err = window.Update(t.Context(), c.update)
		require.NoError(t, err)
		s, err := store.Load(t.Context(), key)
		require.NoError(t, err)
		require.Zero(t, s.Window.Sharing, c.name)
	}
	_, err = window.Update(t.Context(), []gcp.Update{{Path: "generation", Value: 3}, {Path: "count", Value: 91}})
	require.NoError(t, err)
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, w.Sharing, s.Window.Sharing, "an older release has reserved of this one")
}
