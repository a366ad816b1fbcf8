package fsquota_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
)

var key = limits.Key{Tenant: "t_acme", Action: "chat_send"}

func limiter(t *testing.T, store limits.Store, policy quota.Policy) *quota.Limiter {
	l, err := quota.New(store, quota.Options{Policies: []quota.Policy{policy}, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// What is billed per 1,000 admitted requests of one tenant, counted at the wire
// in real time. The Python service costs 1,000 reads and 1,000 writes.
func TestCostOfAdmitting(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	t.Parallel()
	for _, c := range []struct {
		rate, most int
	}{{1, 1000}, {10, 250}, {100, 20}, {1000, 20}} {
		t.Run(fmt.Sprintf("%d a second", c.rate), func(t *testing.T) {
			t.Parallel()
			meter := wire.NewMeter()
			l := limiter(t, open(t, emulatortest.Firestore(t), "", meter.DialOptions()...), quota.Policy{Limit: 120_000, Window: time.Minute})
			requests := 0
			ticker := time.NewTicker(time.Second / time.Duration(c.rate))
			defer ticker.Stop()
			for began := time.Now(); time.Since(began) < 12*time.Second; requests++ {
				<-ticker.C
				d, err := l.Allow(t.Context(), key.Tenant, key.Action)
				require.NoError(t, err)
				require.True(t, d.Allowed)
			}
			reads, writes := int(meter.Reads(fsquota.Collection)), int(meter.Writes(fsquota.Collection))
			t.Logf("%d admitted: %d reads, %d writes; per 1,000: %d and %d", requests, reads, writes, reads*1000/requests, writes*1000/requests)
			require.LessOrEqual(t, reads*1000/requests, max(c.most, 100_000/requests), "one at the least")
			require.LessOrEqual(t, writes*1000/requests, c.most)
		})
	}
}

func TestALostAnswerToAReservationAdmitsNoMore(t *testing.T) {
	faults := wire.NewFaults()
	store := open(t, emulatortest.Firestore(t), "", faults.DialOptions()...)
	l := limiter(t, store, quota.Policy{Limit: 50, Window: time.Hour})
	admitted := 0
	for i := 0; ; i++ {
		if i%10 == 0 {
			faults.LoseAnswers("Commit", 1)
		}
		d, err := l.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
		if !d.Allowed {
			break
		}
		admitted++
	}
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, 50, s.Window.Count)
	require.Less(t, admitted, 50, "what was reserved and not obtained is lost until the window ends")
	require.Greater(t, admitted, 20)
}

func TestALostAnswerToAReleaseIsNotSentAgain(t *testing.T) {
	faults, meter := wire.NewFaults(), wire.NewMeter()
	store := open(t, emulatortest.Firestore(t), "", append(faults.DialOptions(), meter.DialOptions()...)...)
	l := limiter(t, store, quota.Policy{Limit: 100, Window: time.Hour})
	for range 8 { // blocks of 1, 2, 4 and 8
		_, err := l.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
	}
	commits := meter.Calls("Commit")
	faults.LoseAnswers("Commit", 1)
	require.NoError(t, l.Close(t.Context()))
	require.EqualValues(t, 1, meter.Calls("Commit")-commits)
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, 8, s.Window.Count)
}

func TestTheTransportRepeatsNothing(t *testing.T) {
	faults, meter := wire.NewFaults(), wire.NewMeter()
	store := open(t, emulatortest.Firestore(t), "", append(faults.DialOptions(), meter.DialOptions()...)...)
	for _, code := range []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.DeadlineExceeded} {
		faults.Fail("Commit", code, 1)
		_, err := store.Save(t.Context(), key, limits.Change{Since: limits.Absent})
		require.ErrorIs(t, err, quota.ErrUnavailable, code)
		require.NotErrorIs(t, err, limits.ErrConflict, code)
		faults.Fail("BatchGetDocuments", code, 1)
		_, err = store.Load(t.Context(), key)
		require.ErrorIs(t, err, quota.ErrUnavailable, code)
	}
	require.Zero(t, faults.Left())
}

func TestAResetIsHeardThroughAStreamThatBroke(t *testing.T) {
	project := emulatortest.Firestore(t)
	faults := wire.NewFaults()
	operator, store := open(t, project, ""), open(t, project, "", faults.DialOptions()...)
	l := limiter(t, store, quota.Policy{Limit: 3, Window: time.Hour})
	allowed := func() bool {
		d, err := l.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
		return d.Allowed
	}
	for range 3 {
		require.True(t, allowed())
	}
	require.False(t, allowed())
	faults.Down(true)
	_, err := limits.Reset(t.Context(), operator, key, "alice")
	require.NoError(t, err)
	require.False(t, allowed(), "not heard of yet")
	faults.Down(false)
	require.Eventually(t, allowed, 10*time.Second, 10*time.Millisecond)
}
