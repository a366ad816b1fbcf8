package quota_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// logged is a limiter's log.
func logged(options quota.Options) (quota.Options, *bytes.Buffer) {
	log := &bytes.Buffer{}
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	return options, log
}

func TestAPolicyFileIsFollowedAndABadOneRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policies.yaml")
		write := func(text string) {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			time.Sleep(2*time.Second + time.Millisecond)
		}
		require.NoError(t, os.WriteFile(file, []byte("policies: [{limit: 3, window: 10s}]"), 0o600))
		options, log := logged(quota.Options{PolicyFile: file, Policies: []quota.Policy{{Limit: 1, Window: time.Minute}}})
		l := limiter(t, newStage(), options)
		require.Equal(t, 3, drain(t, l), "the file comes before the options")

		write("policies: [{limit: 5, window: 10s}]")
		require.Zero(t, drain(t, l), "a changed policy starts with the next window")
		time.Sleep(10 * time.Second)
		require.Equal(t, 5, drain(t, l))

		write("policies: [{limit: 0}]")
		time.Sleep(10 * time.Second)
		write("")
		require.NoError(t, os.Remove(file))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, 5, drain(t, l), "the old one stays in force")
		require.Contains(t, log.String(), "policies.yaml:1: invalid: limit is 0")
		require.Contains(t, log.String(), "policies.yaml:1: invalid: the file must", "an empty one is no policies: it is being written")
		require.Equal(t, 3, strings.Count(log.String(), "throttle policy refused"), "once for each bad file, once for the missing one")

		write("policies: [{limit: 7, window: 10s}]")
		time.Sleep(10 * time.Second)
		require.Equal(t, 7, drain(t, l))

		write("policies: []")
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, drain(t, l), "none in the file, so that the options hold")
	})
}

func TestPolicyDocumentsAreFollowedAndABadOneRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		options, log := logged(limitOf(1, 10*time.Second))
		l := limiter(t, store, options)
		nextWindow := func(documents ...limits.PolicyDocument) int {
			store.setPolicies(documents...)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			return drain(t, l)
		}
		document := func(name string, fields map[string]any) limits.PolicyDocument {
			return limits.PolicyDocument{Name: name, Fields: fields}
		}
		require.Equal(t, 1, drain(t, l))
		everybody := document("everybody", map[string]any{"limit": int64(2), "window": "10s"})
		require.Equal(t, 2, nextWindow(everybody), "documents come before options")
		acme := document("acme", map[string]any{"tenant": tenant, "limit": 3.0, "window": "10s"})
		require.Equal(t, 3, nextWindow(everybody, acme))

		bad := document("acme", map[string]any{"tenant": tenant, "limit": "3", "window": 10, "extra": true})
		require.Equal(t, 3, nextWindow(everybody, bad), "the old one stays in force")
		for _, fault := range []string{"rate_limit_policies/acme", `limit: is the string \"3\": must be a whole number`, "window: is 10", "extra: not a field"} {
			require.Contains(t, log.String(), fault)
		}
		twin := document("b_twin", map[string]any{"tenant": tenant, "limit": int64(9), "window": "10s"})
		require.Equal(t, 3, nextWindow(everybody, acme, twin), "of two for the same the first holds")
		require.Contains(t, log.String(), "rate_limit_policies/b_twin: invalid: a second policy for t_acme *; the first is rate_limit_policies/acme")
		require.Equal(t, 2, nextWindow(document("everybody", map[string]any{"limit": int64(0), "window": "0s"})), "the tenant's is gone, and the old one for everybody stays in force")
		require.Contains(t, log.String(), "rate_limit_policies/everybody: invalid: window is 0s", "every fault names its document")
	})
}

func TestAShadowPolicyRefusesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{Policies: []quota.Policy{{Limit: 2, Window: time.Minute, Shadow: true}}})
		for i := range 5 {
			d := allow(t, l)
			require.True(t, d.Allowed)
			require.Equal(t, i >= 2, d.Shadow)
			require.Equal(t, d.Shadow, d.Window == quota.WindowID{})
			require.Zero(t, d.RetryAfter)
		}
		require.EqualValues(t, 2, count(t, store))
		time.Sleep(time.Minute)
		store.fault = down
		d := allow(t, l)
		require.True(t, d.Allowed && d.FailedOpen)
	})
}

func TestAShadowPolicyPassesWhatIsMoreThanItsLimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{Policies: []quota.Policy{{Limit: 5, Window: time.Minute, Shadow: true}}})
		for _, n := range []int{6, quota.MaxLimit} {
			d := allowN(t, l, n)
			require.True(t, d.Allowed && d.Shadow)
			require.EqualValues(t, 5, d.Limit)
			require.EqualValues(t, 5, d.Remaining)
		}
		require.Zero(t, count(t, store), "what would be refused is not counted")
		require.False(t, allowN(t, l, 5).Shadow, "what would not is taken")
		for _, n := range []int{0, quota.MaxLimit + 1} {
			_, err := l.AllowN(t.Context(), tenant, action, n)
			require.ErrorIs(t, err, quota.ErrInvalid)
		}
	})
}

func TestAResetIsHeardByAllProcesses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		first, second := limiter(t, store, limitOf(10, time.Hour)), limiter(t, store, limitOf(10, time.Hour))
		require.Equal(t, 10, drain(t, first))
		require.Equal(t, 0, drain(t, second))
		before := allow(t, first).Window
		time.Sleep(time.Second)

		w, err := limits.Reset(t.Context(), store, key, "alice")
		require.NoError(t, err)
		require.NotEqual(t, before.LastReset, w.LastReset)
		require.NotEqual(t, before.Generation, w.Generation)
		synctest.Wait()
		d := allow(t, second)
		require.True(t, d.Allowed, "at once")
		require.Equal(t, w.Generation, d.Window.Generation)
		require.Equal(t, 9, drain(t, first))
	})
}

func TestABlockFromBeforeAResetDoesNotGoBackIntoTheNewWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Hour))
		for range 8 { // of 15 reserved
			require.True(t, allow(t, l).Allowed)
		}
		_, err := limits.Reset(t.Context(), store, key, "alice")
		require.NoError(t, err)
		require.NoError(t, l.Close(t.Context()))
		require.Zero(t, count(t, store))
	})
}

func TestShowTellsTheWindowInForce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		status, err := limits.Show(t.Context(), store, limits.PolicySet{}, key)
		require.NoError(t, err)
		require.False(t, status.Exists)
		require.EqualValues(t, 100, status.InForce.Remaining())

		l := limiter(t, store, limitOf(5, time.Minute))
		require.Equal(t, 5, drain(t, l))
		status, err = limits.Show(t.Context(), store, limits.PolicySet{}, key)
		require.NoError(t, err)
		require.True(t, status.Exists)
		require.Equal(t, status.Stored, status.InForce)
		require.EqualValues(t, 5, status.InForce.Limit)
		require.Zero(t, status.InForce.Remaining())
		require.WithinDuration(t, status.ReadTime.Add(time.Minute), status.EndsAt, time.Millisecond)

		time.Sleep(time.Minute)
		status, err = limits.Show(t.Context(), store, limits.PolicySet{}, key)
		require.NoError(t, err)
		require.EqualValues(t, 5, status.Stored.Count)
		require.EqualValues(t, 100, status.InForce.Remaining())
		_, err = limits.Show(t.Context(), store, limits.PolicySet{}, limits.Key{Tenant: "acme", Action: action})
		require.ErrorIs(t, err, quota.ErrInvalid)
	})
}
