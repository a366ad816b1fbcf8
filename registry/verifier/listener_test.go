package verifier_test

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
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// deafStore refuses to be listened to, if it is told to.
type deafStore struct {
	*feedStore
	deaf atomic.Bool
}

func (s *deafStore) Listen(ctx context.Context, cursor *ownership.FeedCursor, heard func(int64)) error {
	if s.deaf.Load() {
		return fmt.Errorf("listen: %w", registry.ErrUnavailable)
	}
	return s.Store.Listen(ctx, cursor, heard)
}

func TestAListenerThatCannotLiveIsLoggedOnceAndSeenInAGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &deafStore{feedStore: newFeedStore()}
		store.deaf.Store(true)
		m := measured{reader: sdkmetric.NewManualReader()}
		connected := func() int64 {
			m.collect(t)
			return m.counts["listener.connected{}"]
		}
		var log bytes.Buffer
		keeping(t, store, verifier.Options{
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)),
			Logger:        slog.New(slog.NewTextHandler(&log, nil)),
		})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Zero(t, connected())
		require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		require.Contains(t, log.String(), "level=WARN msg=\"the change feed cannot be listened to")

		store.deaf.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, connected())
		require.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
		require.Contains(t, log.String(), "level=INFO msg=\"the change feed is listened to again")
	})
}
