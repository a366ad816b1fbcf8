package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

var totalKey = limits.Key{Tenant: tenant, Action: quota.TotalAction}

func totalOf(limit, each int64) quota.Options {
	return quota.Options{Policies: []quota.Policy{
		{Action: quota.TotalAction, Limit: limit, Window: time.Minute}, {Limit: each, Window: time.Minute},
	}}
}

func ask(t *testing.T, l *quota.Limiter, action string, n int) quota.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), tenant, action, n)
	require.NoError(t, err)
	return d
}

func countOf(t *testing.T, store quota.Store, key limits.Key) int64 {
	t.Helper()
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	return s.Window.Count
}

// spentOf is what a window counts, without what is put aside for its parts and
// nobody has taken.
func spentOf(t *testing.T, store quota.Store, key limits.Key) int64 {
	t.Helper()
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	spent := s.Window.Count - s.Window.Sharing.Parts*s.Window.Sharing.PartLimit
	for i := range s.Window.Sharing.Parts {
		spent += countOf(t, store, limits.Key{Tenant: key.Tenant, Action: fmt.Sprintf("%s.%d", key.Action, i+1)})
	}
	return spent
}

func TestATotalBoundsAllActionsOfATenantTogether(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, totalOf(10, 6))
		for i := range 6 {
			d := ask(t, l, "a", 1)
			require.True(t, d.Allowed && !d.Total, "the action has less left")
			require.EqualValues(t, 5-i, d.Remaining)
		}
		d := ask(t, l, "a", 1)
		require.False(t, d.Allowed || d.Total, "its own window refuses")
		require.EqualValues(t, 6, d.Limit)
		for range 4 {
			require.True(t, ask(t, l, "b", 1).Allowed, "what the action refused has gone back to the total")
		}
		d = ask(t, l, "b", 1)
		require.False(t, d.Allowed)
		require.True(t, d.Total)
		require.EqualValues(t, 10, d.Limit)
		require.Positive(t, d.RetryAfter)

		writes := store.saves.Load()
		for i := range 100 {
			require.False(t, ask(t, l, fmt.Sprint("invented", i), 1).Allowed)
		}
		require.Equal(t, writes, store.saves.Load(), "a tenant without units makes no documents")
		other, err := l.Allow(t.Context(), "t_other", "a")
		require.NoError(t, err)
		require.True(t, other.Allowed)

		time.Sleep(time.Minute)
		require.True(t, ask(t, l, "c", 1).Allowed)
	})
}

func TestATotalIsAllOrNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, totalOf(10, 6))
		require.True(t, ask(t, l, "a", 5).Allowed)
		require.False(t, ask(t, l, "a", 2).Allowed, "its own window has one")
		d := ask(t, l, "b", 6)
		require.False(t, d.Allowed, "the total has five")
		require.True(t, d.Total)
		require.EqualValues(t, 5, d.Remaining)
		require.True(t, ask(t, l, "b", 5).Allowed, "neither refusal took anything")
		require.NoError(t, l.Close(t.Context()))
		require.EqualValues(t, 10, countOf(t, store, totalKey))
		require.EqualValues(t, 5, countOf(t, store, limits.Key{Tenant: tenant, Action: "a"}))
		require.EqualValues(t, 5, countOf(t, store, limits.Key{Tenant: tenant, Action: "b"}))
	})
}

func TestATenantsOwnTotalComesBeforeEverybodys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		options := totalOf(3, 100)
		options.Policies = append(options.Policies, quota.Policy{Tenant: "t_big", Action: quota.TotalAction, Limit: 7, Window: time.Minute})
		l := limiter(t, newStage(), options)
		for name, limit := range map[string]int{tenant: 3, "t_big": 7} {
			admitted := 0
			for i := range 20 {
				d, err := l.Allow(t.Context(), name, fmt.Sprint("a", i))
				require.NoError(t, err)
				if d.Allowed {
					admitted++
				}
			}
			require.Equal(t, limit, admitted, name)
		}
	})
}

func TestNobodyCanAskForTheTotalItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, newStage(), totalOf(100, 50))
		for range 4 {
			require.True(t, ask(t, l, "a", 1).Allowed)
		}
		_, err := l.Allow(t.Context(), tenant, quota.TotalAction)
		require.ErrorIs(t, err, quota.ErrInvalid)
		_, err = l.AllowN(t.Context(), tenant, "a", 51)
		require.ErrorIs(t, err, quota.ErrInvalid)
		_, err = limiter(t, newStage(), totalOf(10, 50)).AllowN(t.Context(), tenant, "a", 11)
		require.ErrorIs(t, err, quota.ErrInvalid, "more than the total can ever have")
		require.ErrorContains(t, err, "must be 1 to 10")
	})
}

func TestAShadowTotalRefusesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		options := totalOf(3, 5)
		options.Policies[0].Shadow = true
		reader, meters := newReader()
		options.MeterProvider = meters
		l := limiter(t, newStage(), options)
		for i := range 5 {
			d := ask(t, l, "a", 1)
			require.True(t, d.Allowed)
			require.Equal(t, i >= 3, d.Shadow)
		}
		d := ask(t, l, "a", 1)
		require.False(t, d.Allowed || d.Total, "the action's own window refuses")
		decisions := reader.read(t, "quota.decisions")
		require.EqualValues(t, 3, decisions["action=other outcome=allowed "])
		require.EqualValues(t, 2, decisions["action=other outcome=shadowed "])
		require.EqualValues(t, 1, decisions["action=other outcome=refused "])
	})
}

func TestDecisionsOfATotalAreCountedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		options := totalOf(10, 8)
		reader, meters := newReader()
		options.MeterProvider = meters
		l := limiter(t, newStage(), options)
		for range 9 {
			ask(t, l, "a", 1)
		}
		for range 5 {
			ask(t, l, "b", 1)
		}
		require.Equal(t, map[string]int64{
			"action=other outcome=allowed ":       10,
			"action=other outcome=refused ":       1,
			"action=all-actions outcome=refused ": 3,
		}, reader.read(t, "quota.decisions"))
		require.NoError(t, l.Close(t.Context()))
		require.Zero(t, reader.sum(t, "quota.units.stranded"))
	})
}

func TestAStoreThatIsDownForTheActionTakesNothingOfTheTotal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, totalOf(10, 10))
		store.faultFor = func(k limits.Key, _ string) error {
			if k.Action == "broken" {
				return errDown
			}
			return nil
		}
		for range 20 {
			_, err := l.Allow(t.Context(), tenant, "broken")
			require.ErrorIs(t, err, quota.ErrUnavailable)
		}
		for range 10 {
			require.True(t, ask(t, l, "a", 1).Allowed)
		}
	})
}

func TestATotalThatIsAddedHoldsFromTheNextWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, 10*time.Second))
		require.True(t, ask(t, l, "a", 50).Allowed)
		store.setPolicies(limits.PolicyDocument{Name: "all", Fields: map[string]any{"action": "all-actions", "limit": int64(2), "window": "10s"}})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		admitted := 0
		for i := range 10 {
			if ask(t, l, fmt.Sprint("a", i%3), 1).Allowed {
				admitted++
			}
		}
		require.Equal(t, 2, admitted)
	})
}

// Many processes and actions meet in one total while units go back and forth:
// what all of them admit never passes it.
func TestManyNeverAdmitMoreThanTheTotal(t *testing.T) {
	const total, each, actions = 500, 200, 5
	store := newStage()
	options := totalOf(total, each)
	for i := range options.Policies {
		options.Policies[i].Window = time.Hour
	}
	var admitted [actions]atomic.Int64
	var group sync.WaitGroup
	var limiters []*quota.Limiter
	for range 3 {
		l := limiter(t, store, options)
		limiters = append(limiters, l)
		for worker := range 4 {
			group.Go(func() {
				for i := range 600 {
					n := 1 + i%3
					at := (i + worker) % actions
					d, err := l.AllowN(context.Background(), tenant, fmt.Sprint("a", at), n)
					if err != nil && !errors.Is(err, quota.ErrUnavailable) {
						t.Error(err)
					}
					if d.Allowed {
						admitted[at].Add(int64(n))
					}
				}
			})
		}
	}
	group.Wait()
	sum := int64(0)
	for i := range admitted {
		require.LessOrEqual(t, admitted[i].Load(), int64(each))
		sum += admitted[i].Load()
	}
	require.LessOrEqual(t, sum, int64(total))
	require.Greater(t, sum, int64(total/2))
	for _, l := range limiters {
		require.NoError(t, l.Close(t.Context()))
	}
	require.Equal(t, sum, spentOf(t, store, totalKey), "nothing is counted that was not admitted, and nothing was lost")
}

func TestAClosedListOfActionsRefusesOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		options := quota.Options{ActionsClosed: true, Policies: []quota.Policy{
			{Limit: 5, Window: time.Minute}, {Action: "a", Limit: 5, Window: time.Minute}, {Tenant: "t_big", Action: "b", Limit: 5, Window: time.Minute},
		}}
		l := limiter(t, store, options)
		require.True(t, ask(t, l, "a", 1).Allowed)
		require.True(t, ask(t, l, "b", 1).Allowed, "named, if only for another tenant")
		_, err := l.Allow(t.Context(), tenant, "invented")
		require.ErrorIs(t, err, quota.ErrInvalid)
		require.ErrorContains(t, err, `action "invented" is not one that a policy names, and the list of actions is closed`)
		require.EqualValues(t, 2, store.loads.Load(), "the store was not asked")
	})
}

func TestADocumentClosesTheListOfActions(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		options, log := logged(limitOf(100, time.Minute))
		l := limiter(t, store, options)
		require.True(t, ask(t, l, "invented", 1).Allowed)
		list := func(value any) limits.PolicyDocument {
			return limits.PolicyDocument{Name: "actions", Fields: map[string]any{"actions": value}}
		}
		a := limits.PolicyDocument{Name: "a", Fields: map[string]any{"action": "a", "limit": int64(5)}}
		set := func(documents ...limits.PolicyDocument) error {
			store.setPolicies(documents...)
			synctest.Wait()
			time.Sleep(time.Minute)
			_, err := l.Allow(t.Context(), tenant, "invented")
			return err
		}
		require.ErrorIs(t, set(list("closed"), a), quota.ErrInvalid)
		require.True(t, ask(t, l, "a", 1).Allowed)
		require.ErrorIs(t, set(list("shut"), a), quota.ErrInvalid, "the last good version stays in force")
		require.Contains(t, log.String(), "rate_limit_policies/actions: invalid: actions: is the string")
		require.NoError(t, set(a), "removed, it is open again")
		require.NoError(t, set(limits.PolicyDocument{Name: "mixed", Fields: map[string]any{"actions": "closed", "limit": int64(3)}}))
		require.Contains(t, log.String(), "it is the one field of a document")
	})
}
