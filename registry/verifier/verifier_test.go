package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestTheOwnerByTheFoldIsAllowedAndNobodyElse(t *testing.T) {
	store := memregistry.New()
	claim(t, store, "t_ann", thread("kept"))
	claim(t, store, "t_ann", thread("moved"))
	move(t, store, "t_ann", "t_bob", thread("moved"))
	claim(t, store, "t_cat", thread("with-its-tenant"))
	move(t, store, "t_cat", "t_dan", registry.Resource{})
	store.SetPlain("thread__plain", "t_eve", false)
	v := newVerifier(t, store, verifier.Options{})

	owners := map[string]string{
		"kept": "t_ann", "moved": "t_bob", "with-its-tenant": "t_dan", "plain": "t_eve", "unregistered": "",
	}
	for id, owner := range owners {
		for _, tenant := range []string{"t_ann", "t_bob", "t_cat", "t_dan", "t_eve"} {
			err := v.VerifyThreadAccess(t.Context(), tenant, id)
			if tenant == owner {
				require.NoError(t, err, "%s asks for %s", tenant, id)
			} else {
				require.ErrorIs(t, err, registry.ErrNotFound, "%s asks for %s", tenant, id)
			}
			require.ErrorIs(t, v.VerifyCanvasAccess(t.Context(), tenant, id), registry.ErrNotFound, "a thread is no canvas")
		}
	}
}

func TestARefusalIsOneValueWhateverItsCause(t *testing.T) {
	store := memregistry.New()
	claim(t, store, "t_ann", thread("foreign"))
	claim(t, store, "t_ann", thread("away"))
	move(t, store, "t_ann", "t_bob", thread("away"))
	v := newVerifier(t, store, verifier.Options{})
	for tenant, id := range map[string]string{"t_cat": "foreign", "t_dan": "missing", "t_ann": "away"} {
		err := v.VerifyThreadAccess(t.Context(), tenant, id)
		require.True(t, err == registry.ErrNotFound, "the value itself: no id in it, nothing wrapped (%v)", err) //nolint:errorlint // identity is the point
	}
}

func TestWhatBreaksAPatternNeverReachesTheStore(t *testing.T) {
	store := newGatedStore(nil)
	v := newVerifier(t, store, verifier.Options{})
	for _, tenant := range []string{"", "acme", "t_", "t_ACME", "t_a/b", "t_" + strings.Repeat("a", 127), "t_a\n", "t_é"} {
		require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), tenant, "th_1"), registry.ErrInvalid, "tenant %q", tenant)
	}
	for _, id := range []string{"", ".", "..", "a/b", "_a", "a\x00", "a b", "é", "a%2Fb", "a\n", strings.Repeat("a", 257)} {
		require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_ann", id), registry.ErrInvalid, "id %q", id)
	}
	require.ErrorIs(t, v.Verify(t.Context(), "t_ann", registry.Resource{Kind: "media", ID: "a"}), registry.ErrInvalid)
	require.Zero(t, store.count())
}

func TestAStoreFaultIsNeitherAnAllowNorARefusal(t *testing.T) {
	for _, fault := range []error{
		fmt.Errorf("read: %w: connection refused", registry.ErrUnavailable),
		errors.New("of a kind that the contract does not know"),
		fmt.Errorf("read: %w", registry.ErrInvalid), // the ids were checked: not the caller's fault
	} {
		store := newGatedStore(func(context.Context, []registry.Resource) error { return fault })
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{})
		for _, tenant := range []string{"t_ann", "t_bob"} {
			err := v.VerifyThreadAccess(t.Context(), tenant, "th_1")
			require.ErrorIs(t, err, registry.ErrUnavailable)
			require.NotErrorIs(t, err, registry.ErrNotFound)
			require.NotErrorIs(t, err, registry.ErrInvalid)
			require.Equal(t, 1, strings.Count(err.Error(), registry.ErrUnavailable.Error()), "wrapped once: %v", err)
		}
	}
}

func TestAClosedVerifierKnowsNothing(t *testing.T) {
	store := memregistry.New()
	claim(t, store, "t_ann", thread("th_1"))
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
	v.Close()
	v.Close()
	err = v.VerifyThreadAccess(t.Context(), "t_ann", "th_1")
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "closed", "and says so: it is a fault of the wiring")
}

func TestEveryFaultOfTheOptionsIsReportedAtOnce(t *testing.T) {
	_, err := verifier.New(memregistry.New(), verifier.Options{MissGrace: -1, Timeout: -1, MaxReads: -1, MaxWaiting: -1})
	for _, field := range []string{"MissGrace", "Timeout", "MaxReads", "MaxWaiting"} {
		require.ErrorContains(t, err, field)
	}
}

// What was committed before a check began is seen by it, however many checks
// share reads at the time.
func TestACheckSeesWhatWasCommittedBeforeIt(t *testing.T) {
	store := newGatedStore(func(context.Context, []registry.Resource) error {
		time.Sleep(100 * time.Microsecond) // so that reads overlap and checks queue up
		return nil
	})
	v := newVerifier(t, store, verifier.Options{MaxReads: 2})
	const workers, rounds = 32, 100
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				// Neighbours ask for the same threads, so that flights are shared.
				r := thread(fmt.Sprintf("th_%d_%d", w/4, i))
				tenant := fmt.Sprintf("t_%d", w/4)
				if _, err := store.Claim(t.Context(), tenant, r); err != nil {
					t.Errorf("claim %s: %v", r, err)
				}
				if err := v.Verify(t.Context(), tenant, r); err != nil {
					t.Errorf("%s was claimed before the check: %v", r, err)
				}
			}
		})
	}
	all.Wait()
	require.Less(t, store.count(), workers*rounds, "reads were shared at all")
}

func TestTheVerifierKnowsTheRegistryAndNoProducerOfIt(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, dep := range strings.Fields(string(out)) {
		if path, ours := strings.CutPrefix(dep, "github.com/northstar-engines/realtime-registry/"); ours {
			require.Contains(t, []string{
				"registry", "registry/verifier", "registry/verifier/internal/certified",
				"internal/ownership", "internal/excerpt", "internal/listening", "internal/observe",
			}, path)
		}
		require.False(t, strings.HasPrefix(dep, "cloud.google.com/"), dep)
	}
}
