package crashpoints_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/quota"
)

var silent = slog.New(slog.DiscardHandler)

// A transport reserves blocks, spends them, releases the rest and comes to its end.
// Wherever it is killed, all that are admitted in the window are no more than its
// limit, and what is left is lost to the window at most.
func TestNoWindowAdmitsMoreThanItsLimitWhereverATransportIsKilled(t *testing.T) {
	const limit = 40
	policies := []quota.Policy{{Limit: limit, Window: time.Hour}, {Action: quota.TotalAction, Limit: limit + 5, Window: time.Hour}}
	points := crashpoints.Enumerate(func(at crashpoints.Point) (reached bool) {
		synctest.Test(t, func(t *testing.T) {
			db := memdb.New(time.Now)
			admitted := 0
			transport := func(p *crashpoints.Process, most int) {
				store, err := quotastore.New(p.DB(db), quotastore.Options{})
				require.NoError(t, err)
				l, err := quota.New(store, quota.Options{Policies: policies, Seed: 1})
				require.NoError(t, err)
				for range most {
					if d, err := l.Allow(p.Context(), "t_a", "chat_send"); err == nil && d.Allowed && p.Context().Err() == nil {
						admitted++
					}
					time.Sleep(10 * time.Millisecond)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				_ = l.Close(ctx)
			}
			first := crashpoints.New(at)
			transport(first, 20)
			_, reached = first.Reached()
			first.End()
			last := crashpoints.New(crashpoints.Never)
			transport(last, 2*limit)
			last.End()
			require.LessOrEqual(t, admitted, limit, "killed after %v", at)
			if !reached {
				require.Equal(t, limit, admitted, "nothing is lost where nobody was killed")
			}
			time.Sleep(time.Minute)
		})
		return reached
	})
	require.Positive(t, points)
	t.Logf("%d points", points)
}

// An operator's reset that is repeated after a kill has begun the window anew, and has
// told of it.
func TestAResetThatIsKilledAtAnyPointIsMadeAfterAll(t *testing.T) {
	key := limits.Key{Tenant: "t_a", Action: "chat_send"}
	points := crashpoints.Enumerate(func(at crashpoints.Point) (reached bool) {
		synctest.Test(t, func(t *testing.T) {
			db := memdb.New(time.Now)
			truth, err := quotastore.New(db, quotastore.Options{})
			require.NoError(t, err)
			policy := limits.Policy{Limit: 10, Window: time.Hour}
			w := policy.NewWindow(limits.UnixSeconds(time.Now()), 0)
			w.Count = 10
			_, err = truth.Save(t.Context(), key, limits.Change{Window: w, Since: limits.Absent, ExpiresAt: time.Now().Add(2 * time.Hour)})
			require.NoError(t, err)
			for p := crashpoints.New(at); ; p = crashpoints.New(crashpoints.Never) {
				store, err := quotastore.New(p.DB(db), quotastore.Options{})
				require.NoError(t, err)
				_, err = limits.Reset(p.Context(), store, key, "operator")
				if _, killed := p.Reached(); killed {
					reached = true
					require.ErrorIs(t, err, limits.ErrUnavailable, "it is not told that it was made")
					continue
				}
				require.NoError(t, err)
				break
			}
			s, err := limits.Show(t.Context(), truth, limits.NewPolicySet(limits.Policies{List: []limits.Policy{policy}}), key)
			require.NoError(t, err)
			require.Zero(t, s.InForce.Count)
			require.Equal(t, "operator", s.Reset.By)
			var told int64
			ctx, cancel := context.WithCancel(t.Context())
			_ = truth.Watch(ctx, limits.Watcher{
				Reset:    func(k limits.Key, generation int64) { told = generation; cancel() },
				Policies: func([]limits.PolicyDocument) {},
			})
			require.Equal(t, s.Stored.Generation, told)
		})
		return reached
	})
	require.Positive(t, points)
	t.Logf("%d points", points)
}
