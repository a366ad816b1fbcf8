package verifier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// stream watches and verifies, as who opens a stream does.
func stream(t *testing.T, v *verifier.Verifier, tenant, id string) <-chan struct{} {
	t.Helper()
	done := v.Watch(t.Context(), thread(id))
	allowed(t, v, tenant, id)
	require.False(t, closed(done))
	return done
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func TestAWatchIsToldOfAMoveWithinMaxStaleness(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		for _, id := range []string{"moves", "stays"} {
			claim(t, store, "t_ann", thread(id))
		}
		v := keeping(t, store, verifier.Options{})
		moves, stays := stream(t, v, "t_ann", "moves"), stream(t, v, "t_ann", "stays")
		move(t, store, "t_ann", "t_bob", thread("moves"))
		time.Sleep(S)
		require.True(t, closed(moves))
		require.False(t, closed(stays))
		time.Sleep(24 * time.Hour)
		require.False(t, closed(stays), "nothing else ends it")
	})
}

// A creation that joins without a notice moves the start back before a move.
func TestAWatchOfWhatMayBeJoinedWithoutANoticeIsEndedWithinMaxStaleness(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		moveAt(t, store, now.Add(-time.Minute), "m", "t_ann", "t_bob", registry.Resource{})
		createAt(t, store, now, "late", "t_ann", thread("th_1"))
		m := measured{reader: sdkmetric.NewManualReader()}
		v := keeping(t, store, verifier.Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader))})
		watched := stream(t, v, "t_ann", "th_1")
		createAt(t, store, now.Add(-time.Hour), "early", "t_ann", thread("th_1"))
		time.Sleep(S)
		require.True(t, closed(watched))
		m.collect(t)
		require.EqualValues(t, 1, m.counts["watch.ended{reason=unreliable}"])
		refused(t, v, "t_ann", "th_1")
	})
}

func TestAListenerTellsAWatchAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		v := keeping(t, store, verifier.Options{})
		one, two := stream(t, v, "t_ann", "th_1"), stream(t, v, "t_ann", "th_2")
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		synctest.Wait()
		require.True(t, closed(one))
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		time.Sleep(50 * time.Millisecond)
		require.True(t, closed(two))
	})
}

func TestATenantsMoveEndsTheWatchesWhoseOwnerChangesAndNoOthers(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		createAt(t, store, now, "c1", "t_ann", thread("hers"))
		createAt(t, store, now, "c2", "t_cat", thread("others"))
		createAt(t, store, now, "c3", "t_old", thread("given"))
		moveAt(t, store, now.Add(time.Second), "g", "t_old", "t_ann", thread("given"))
		v := keeping(t, store, verifier.Options{})
		hers, others, given := stream(t, v, "t_ann", "hers"), stream(t, v, "t_cat", "others"), stream(t, v, "t_ann", "given")
		moveAt(t, store, now.Add(2*time.Second), "m", "t_ann", "t_bob", registry.Resource{})
		time.Sleep(S)
		require.True(t, closed(hers))
		require.True(t, closed(given), "with a longer history too")
		require.False(t, closed(others))

		back := stream(t, v, "t_bob", "hers")
		require.Equal(t, ownership.Applied, store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "test", ID: "m"}, "", "")})[0].Kind)
		time.Sleep(S)
		require.True(t, closed(back))
		require.False(t, closed(others))
	})
}

// The certificate's ledger goes from one in which t_ann owns the thread to
// another, past one that an answer rested on.
func TestAWatchThatRestsOnALaterLedgerIsNotComparedWithAnEarlierOne(t *testing.T) {
	for name, void := range map[string]bool{"kept": false, "void": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				store.listen = true
				now := time.Now()
				createAt(t, store, now, "c1", "t_ann", thread("th_1"))
				createAt(t, store, now, "c2", "t_cat", thread("th_2"))
				v := keeping(t, store, verifier.Options{Timeout: time.Hour, CacheEntries: 10})
				allowed(t, v, "t_ann", "th_1") // so that its history is known
				store.set(func(ctx context.Context) error { pause(ctx, S/4); return nil })
				time.Sleep(S / 2) // a read of the feed is about to be sent

				done := v.Watch(t.Context(), thread("th_1"))
				moveAt(t, store, now.Add(time.Second), "m", "t_ann", "t_bob", registry.Resource{})
				release := make(chan struct{})
				store.gate = holdFirst(release)
				answer := make(chan error, 1)
				go func() { answer <- v.VerifyThreadAccess(t.Context(), "t_bob", "th_1") }()
				synctest.Wait()
				if void {
					moveAt(t, store, now.Add(2*time.Second), "n", "t_cat", "t_dan", thread("th_2"))
					synctest.Wait()
				}
				close(release)
				require.NoError(t, <-answer, "by a read that knows the move")
				require.Equal(t, ownership.Applied, store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "test", ID: "m"}, "", "")})[0].Kind)
				require.False(t, closed(done))
				time.Sleep(S)
				require.True(t, closed(done), "t_bob has lost it, though the owner is the same as before")
			})
		})
	}
}

func TestWithoutACacheNothingCanBeWatched(t *testing.T) {
	v := newVerifier(t, newFeedStore(), verifier.Options{})
	require.True(t, closed(v.Watch(t.Context(), thread("th_1"))))
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
