// Package quotatest is the suite that every quota.Store must pass.
package quotatest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// Backend is a store under test, empty, and what others do to its documents.
type Backend struct {
	Store limits.Store
	// Other is the same documents, as another process has them.
	Other limits.Store
	// SetPlain writes exactly last_reset and count, as the Python service does.
	SetPlain func(key limits.Key, lastReset float64, count int64)
	// GetPlain reads last_reset and count, as the Python service does.
	GetPlain func(key limits.Key) (lastReset float64, count int64)
	// SetPolicy writes a policy document; nil removes it.
	SetPolicy func(name string, fields map[string]any)
}

// Soon bounds what a test waits for that is a matter of milliseconds.
const Soon = 10 * time.Second

// Run runs the suite; open returns a backend of its own for each test.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for name, test := range map[string]func(*testing.T, Backend){
		"what is not there is absent, with the time of the read":     absent,
		"what was saved is loaded bit for bit":                       roundTrip,
		"a save is refused where the document has changed":           compareAndSet,
		"what processes tell one another is of one window":           sharingOfOneWindow,
		"of many saves since one version one wins":                   oneWins,
		"times of the store do not go back":                          timesGrow,
		"no two keys share a document":                               injective,
		"a plain set is loaded without what is ours":                 plainSet,
		"the Python service finds last_reset and count":              plainGet,
		"a watch tells the policies, and each change of them":        watchPolicies,
		"a watch tells another process of a reset, and the earlier":  watchResets,
		"who has reset a window is kept with it":                     keepsReset,
		"a call whose context has ended is unavailable":              ended,
		"limiters of many processes never admit more than the limit": neverMore,
		"limiters of many processes never admit more than the total": neverMoreInAll,
		"what a limiter releases at its close another one can spend": closeReleases,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var (
	key    = limits.Key{Tenant: "t_acme", Action: "chat_send"}
	window = limits.Window{LastReset: 1795441715.427782, Length: 90 * time.Second, Limit: 1000, Count: 25, Generation: 1795441000000001}
)

func change(w limits.Window, since limits.Version) limits.Change {
	return limits.Change{Window: w, Since: since, ExpiresAt: time.Now().Add(time.Hour)}
}

func absent(t *testing.T, b Backend) {
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, limits.Absent, s.Version)
	require.Equal(t, limits.Window{}, s.Window)
	require.WithinDuration(t, time.Now(), s.ReadTime, time.Minute)
}

func roundTrip(t *testing.T, b Backend) {
	receipt, err := b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.NoError(t, err)
	for _, store := range []limits.Store{b.Store, b.Other} {
		s, err := store.Load(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, window, s.Window)
		require.Equal(t, receipt.Version, s.Version)
	}
}

func compareAndSet(t *testing.T, b Backend) {
	first, err := b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.NoError(t, err)
	_, err = b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.ErrorIs(t, err, limits.ErrConflict)
	require.NotErrorIs(t, err, quota.ErrUnavailable)

	second := window
	second.Count++
	_, err = b.Other.Save(t.Context(), key, change(second, first.Version))
	require.NoError(t, err)
	third := window
	third.Count += 100
	_, err = b.Store.Save(t.Context(), key, change(third, first.Version))
	require.ErrorIs(t, err, limits.ErrConflict)
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, second, s.Window)

	never := limits.Key{Tenant: "t_never", Action: "seen"}
	_, err = b.Store.Save(t.Context(), never, change(window, first.Version))
	require.ErrorIs(t, err, limits.ErrConflict, "the document is gone")
}

func sharingOfOneWindow(t *testing.T, b Backend) {
	shared := window
	shared.Sharing = limits.Sharing{Writes: 7, Processes: 5, Writer: 11, Crowd: 9, Parts: 12, PartLimit: 3, Parted: 2}
	receipt, err := b.Store.Save(t.Context(), key, change(shared, limits.Absent))
	require.NoError(t, err)
	s, err := b.Other.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, shared, s.Window)

	alone := shared
	alone.Sharing = limits.Sharing{}
	receipt, err = b.Store.Save(t.Context(), key, change(alone, receipt.Version))
	require.NoError(t, err)
	s, err = b.Other.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, alone, s.Window, "a write that tells nothing takes it away")

	part := limits.Key{Tenant: key.Tenant, Action: key.Action + ".7"}
	_, err = b.Store.Save(t.Context(), part, change(window, limits.Absent))
	require.NoError(t, err)
	s, err = b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, receipt.Version, s.Version, "a part is a document of its own")
}

func oneWins(t *testing.T, b Backend) {
	const writers, rounds = 4, 5
	var group sync.WaitGroup
	for i := range writers {
		store := []limits.Store{b.Store, b.Other}[i%2]
		group.Go(func() {
			for range rounds {
				increment(t, store)
			}
		})
	}
	group.Wait()
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, writers*rounds, s.Window.Count)
}

func increment(t *testing.T, store limits.Store) {
	for {
		s, err := store.Load(t.Context(), key)
		if !assert.NoError(t, err) {
			return
		}
		w := s.Window
		w.Count++
		_, err = store.Save(t.Context(), key, change(w, s.Version))
		if !errors.Is(err, limits.ErrConflict) {
			assert.NoError(t, err)
			return
		}
	}
}

func timesGrow(t *testing.T, b Backend) {
	since, last := limits.Absent, time.Time{}
	for range 5 {
		s, err := b.Store.Load(t.Context(), key)
		require.NoError(t, err)
		require.False(t, s.ReadTime.Before(last))
		receipt, err := b.Store.Save(t.Context(), key, change(window, since))
		require.NoError(t, err)
		require.False(t, receipt.CommitTime.Before(s.ReadTime))
		require.NotEqual(t, since, receipt.Version)
		since, last = receipt.Version, receipt.CommitTime
	}
}

func injective(t *testing.T, b Backend) {
	keys := []limits.Key{
		{Tenant: "t_a", Action: "b"}, {Tenant: "t_a__b", Action: "c"}, {Tenant: "t_a", Action: "b_c"},
		{Tenant: "t_a_", Action: "b"}, {Tenant: "t_a__b__c", Action: "c"}, {Tenant: "t_a__b_", Action: "c"},
	}
	for i, k := range keys {
		w := window
		w.Count = int64(i)
		_, err := b.Store.Save(t.Context(), k, change(w, limits.Absent))
		require.NoError(t, err)
	}
	for i, k := range keys {
		s, err := b.Store.Load(t.Context(), k)
		require.NoError(t, err)
		require.EqualValues(t, i, s.Window.Count)
	}
}

func plainSet(t *testing.T, b Backend) {
	_, err := b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.NoError(t, err)
	b.SetPlain(key, 1795441715.4277821, 7)
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, limits.Window{LastReset: 1795441715.4277821, Count: 7}, s.Window)
}

func plainGet(t *testing.T, b Backend) {
	_, err := b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.NoError(t, err)
	lastReset, count := b.GetPlain(key)
	require.Equal(t, window.LastReset, lastReset)
	require.Equal(t, window.Count, count)
}

func keepsReset(t *testing.T, b Backend) {
	since, err := b.Store.Save(t.Context(), key, change(window, limits.Absent))
	require.NoError(t, err)
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Zero(t, s.Reset)
	require.Equal(t, since.Version, s.Version)

	for _, by := range []string{"alice", "bob@example.com, for ticket 7"} {
		_, err = limits.Reset(t.Context(), b.Store, key, by)
		require.NoError(t, err)
		s, err = b.Other.Load(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, by, s.Reset.By)
		require.WithinDuration(t, s.ReadTime, s.Reset.At, 10*time.Second)
	}
	before := s.Reset
	_, err = b.Store.Save(t.Context(), key, change(window, s.Version))
	require.NoError(t, err)
	s, err = b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, window, s.Window)
	require.Equal(t, before, s.Reset, "a reservation leaves the record as it is")
	status, err := limits.Show(t.Context(), b.Store, limits.PolicySet{}, key)
	require.NoError(t, err)
	require.Equal(t, before, status.Reset)

	for _, by := range []string{"", "a\nb", "\x1b[2J", "\u202eecila", string([]byte{0xff}), strings.Repeat("a", 257)} {
		_, err = limits.Reset(t.Context(), b.Store, key, by)
		require.ErrorIs(t, err, quota.ErrInvalid, "%q", by)
	}
}

func ended(t *testing.T, b Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Store.Load(ctx, key)
	require.ErrorIs(t, err, quota.ErrUnavailable)
	_, err = b.Store.Save(ctx, key, change(window, limits.Absent))
	require.ErrorIs(t, err, quota.ErrUnavailable)
	require.NotErrorIs(t, err, limits.ErrConflict)
}
