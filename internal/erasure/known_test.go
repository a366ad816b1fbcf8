package erasure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

func TestAMoveWhoseDocumentsHaveNotFollowedIsWaitedFor(t *testing.T) {
	s := registryOf(t, 3)
	apply(t, s, moved(registry.Resource{}, "t_else", left, 70, "under way"))
	plan, err := eraser(s).Plan(t.Context(), left)
	require.NoError(t, err)
	require.Equal(t, []string{"under way"}, plan.Pending)
	_, err = eraser(s).Run(t.Context(), left, "op", "")
	require.ErrorIs(t, err, erasure.ErrPending)
	require.ErrorContains(t, err, "under way")
	_, err = eraser(s).Run(t.Context(), left, "op", "for "+left)
	require.ErrorContains(t, err, "must not name the tenant")
}

// A misspelt tenant must not bar that name.
func TestATenantOfWhichTheRegistryKnowsNothingIsNotErased(t *testing.T) {
	s := memregistry.New()
	apply(t, s, created(thread(1), "t_else"))
	plan, err := eraser(s).Plan(t.Context(), left)
	require.NoError(t, err)
	require.False(t, plan.Known)
	_, err = eraser(s).Run(t.Context(), left, "op", "")
	require.ErrorIs(t, err, erasure.ErrUnknown)
	require.Empty(t, holding(t, s.DB(), "erased"), "nothing was changed")
	claimed, err := s.Claim(t.Context(), left, thread(2))
	require.NoError(t, err)
	require.True(t, claimed)

	s = memregistry.New()
	apply(t, s, created(thread(1), "t_else"))
	e := eraser(s)
	e.Unknown = true
	r, err := e.Run(t.Context(), left, "op", "")
	require.NoError(t, err)
	apply(t, s, created(thread(2), left))
	require.Empty(t, naming(t, s), "what comes of it is taken under the other name")
	again, err := eraser(s).Run(t.Context(), left, "op", "")
	require.NoError(t, err, "one that was erased before is known")
	require.Equal(t, r.Pseudonym, again.Pseudonym)
	_, err = eraser(s).Run(t.Context(), r.Pseudonym, "op", "")
	require.ErrorIs(t, err, erasure.ErrPseudonym)
}

func TestATenantIsKnownByWhateverTheRegistryHasOfIt(t *testing.T) {
	for name, has := range map[string]func(*memregistry.Store){
		"a resource": func(s *memregistry.Store) { apply(t, s, created(thread(1), left)) },
		"a resource that it had": func(s *memregistry.Store) {
			apply(t, s, created(thread(1), left), moved(thread(1), left, "t_else", 20, "m"))
		},
		"a plain set":    func(s *memregistry.Store) { s.SetPlain("canvas__plain", left, false) },
		"a move from it": func(s *memregistry.Store) { apply(t, s, moved(registry.Resource{}, left, "t_else", 5, "m")) },
		"a move to it":   func(s *memregistry.Store) { apply(t, s, moved(registry.Resource{}, "t_else", left, 5, "m")) },
		"a window": func(s *memregistry.Store) {
			put(t, s.DB(), "rate_limit_counters", left+"__chat_send", map[string]*docdb.Value{"count": docdb.Integer(1)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := memregistry.New()
			has(s)
			plan, err := eraser(s).Plan(t.Context(), left)
			require.NoError(t, err)
			require.True(t, plan.Known)
			other, err := eraser(s).Plan(t.Context(), "t_lef")
			require.NoError(t, err)
			require.False(t, other.Known)
			if name != "a window" {
				known, err := s.Knows(t.Context(), left)
				require.NoError(t, err)
				require.True(t, known)
			}
			known, err := s.Knows(t.Context(), "t_lef")
			require.NoError(t, err)
			require.False(t, known)
		})
	}
}

// A document of another tenant is the erased one's by the fold already, and does not say
// so yet: it would not be found, and not be deleted.
func TestAMoveThatLeadsToTheTenantByOthersIsWaitedFor(t *testing.T) {
	s := memregistry.New()
	apply(t, s, created(thread(1), "t_first"), moved(registry.Resource{}, "t_second", left, 30, "last"))
	settle(t, s)
	apply(t, s, moved(registry.Resource{}, "t_first", "t_second", 20, "first"), moved(registry.Resource{}, "t_other", "t_else", 20, "other"))
	now, err := s.Read(t.Context(), []registry.Resource{thread(1)})
	require.NoError(t, err)
	require.Equal(t, left, now.Records[0].History.Owner(now.Ledger))
	require.Equal(t, "t_first", now.Records[0].TenantID)
	_, err = eraser(s).Run(t.Context(), left, "op", "")
	require.ErrorIs(t, err, erasure.ErrPending)
	require.ErrorContains(t, err, "first")
	require.NotContains(t, err.Error(), "other")
	settle(t, s)
	r, err := eraser(s).Run(t.Context(), left, "op", "")
	require.NoError(t, err)
	require.Equal(t, 1, r.Deleted)
}

func TestAnErasureIsNeverSilentForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memregistry.NewAt(time.Now).Open(memregistry.Options{LedgerStaleness: 10 * time.Second, CommitDeadline: 5 * time.Second})
		apply(t, s, created(thread(1), left), moved(registry.Resource{}, left, "t_else", 5, "m-"+left))
		settle(t, s)
		e, told, steps := eraser(s), time.Now(), []erasure.Step(nil)
		e.Progress = func(p erasure.Progress) {
			require.LessOrEqual(t, time.Since(told), time.Second, "before %v", p)
			if told = time.Now(); len(steps) == 0 || steps[len(steps)-1] != p.Step {
				steps = append(steps, p.Step)
			}
		}
		_, err := e.Run(t.Context(), left, "op", "")
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(told), time.Second)
		require.Equal(t, []erasure.Step{
			erasure.ReadLedger, erasure.Documents, erasure.Wait, erasure.Documents, erasure.ReadLedger, erasure.Moves, erasure.Wait, erasure.Beside, erasure.Search,
		}, steps)
	})
}
