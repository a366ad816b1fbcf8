package quota_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// deafStore refuses to be watched, if it is told to.
type deafStore struct {
	*stage
	deaf atomic.Bool
}

func (s *deafStore) Watch(ctx context.Context, w limits.Watcher) error {
	if s.deaf.Load() {
		return fmt.Errorf("watch: %w", quota.ErrUnavailable)
	}
	return s.stage.Watch(ctx, w)
}

func TestAWatchThatCannotLiveIsLoggedOnceAndSeenInAGauge(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &deafStore{stage: newStage()}
		store.deaf.Store(true)
		reader, meters := newReader()
		var log bytes.Buffer
		lines := func() int { return strings.Count(log.String(), "hear") }
		limiter(t, store, quota.Options{MeterProvider: meters, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Zero(t, reader.sum(t, "quota.listener.connected"))
		require.Equal(t, 1, lines(), log.String())

		store.deaf.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, reader.sum(t, "quota.listener.connected"))
		require.Equal(t, 2, lines(), log.String())
		require.Contains(t, log.String(), "throttle hears of resets and policies again")
	})
}

// fleetingStore tells a watch of everything, and ends it.
type fleetingStore struct {
	*stage
	watches atomic.Int64
}

func (s *fleetingStore) Watch(_ context.Context, w limits.Watcher) error {
	s.watches.Add(1)
	w.Policies(nil)
	return fmt.Errorf("watch: %w", quota.ErrUnavailable)
}

func TestAWatchThatEndsAtOnceIsBegunAgainLaterAndLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &fleetingStore{stage: newStage()}
		limiter(t, store, quota.Options{})
		time.Sleep(10 * time.Minute)
		require.Less(t, store.watches.Load(), int64(60), "each reads all documents")
	})
}
