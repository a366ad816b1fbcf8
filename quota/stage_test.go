package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

const (
	tenant = "t_acme"
	action = "chat_send"
)

var key = limits.Key{Tenant: tenant, Action: action}

// stage is a store whose calls are counted, take time, and go wrong as a test
// says.
type stage struct {
	*memquota.Store
	latency      atomic.Int64 // of each call; nanoseconds
	fault        func(operation string) (before, after error)
	faultFor     func(key limits.Key, operation string) error
	failed       atomic.Int64 // calls that faultFor made fail
	loads, saves atomic.Int64
}

func newStage() *stage { return &stage{Store: memquota.New()} }

func (s *stage) Load(ctx context.Context, key limits.Key) (snapshot limits.Snapshot, err error) {
	s.loads.Add(1)
	err = s.around(ctx, key, "load", func() { snapshot, err = s.Store.Load(ctx, key) }, &err)
	return snapshot, err
}

func (s *stage) Save(ctx context.Context, key limits.Key, c limits.Change) (receipt limits.Receipt, err error) {
	s.saves.Add(1)
	err = s.around(ctx, key, "save", func() { receipt, err = s.Store.Save(ctx, key, c) }, &err)
	return receipt, err
}

func (s *stage) around(ctx context.Context, key limits.Key, operation string, call func(), result *error) error {
	var before, after error
	if s.fault != nil {
		before, after = s.fault(operation)
	}
	if s.faultFor != nil {
		if before = s.faultFor(key, operation); before != nil {
			s.failed.Add(1)
		}
	}
	if before == nil {
		call()
	}
	select {
	case <-time.After(time.Duration(s.latency.Load())):
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", operation, quota.ErrUnavailable, ctx.Err())
	}
	switch err := errors.Join(before, after); {
	case errors.Is(err, limits.ErrConflict):
		return err
	case err != nil:
		return fmt.Errorf("%s: %w: %w", operation, quota.ErrUnavailable, err)
	}
	return *result
}

var errDown = errors.New("down")

func down(string) (before, after error) { return errDown, nil }

// inBubble runs a test in time of its own: every wait is as long as it says and
// takes no time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func limiter(t *testing.T, store quota.Store, options quota.Options) *quota.Limiter {
	l, err := quota.New(store, options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func limitOf(limit int64, window time.Duration) quota.Options {
	return quota.Options{Policies: []quota.Policy{{Limit: limit, Window: window}}}
}

func allow(t *testing.T, l *quota.Limiter) quota.Decision {
	t.Helper()
	return allowN(t, l, 1)
}

func allowN(t *testing.T, l *quota.Limiter, n int) quota.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), tenant, action, n)
	require.NoError(t, err)
	return d
}

// drain asks until it is refused, and returns how many were let through.
func drain(t *testing.T, l *quota.Limiter) (admitted int) {
	t.Helper()
	for allow(t, l).Allowed {
		admitted++
	}
	return admitted
}

func count(t *testing.T, store quota.Store) int64 {
	t.Helper()
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	return s.Window.Count
}

// setPolicies replaces the policy documents.
func (s *stage) setPolicies(documents ...limits.PolicyDocument) {
	all := map[string]map[string]any{}
	for _, d := range documents {
		all[d.Name] = d.Fields
	}
	s.SetPolicies(all)
}
