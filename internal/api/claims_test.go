package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// claimCases is how often each claim below is made; atOnce, how many at a time.
const (
	claimCases = 1000
	atOnce     = 8
)

// onFirestore is the API over a registry in the Firestore emulator.
type onFirestore struct {
	t     *testing.T
	store *fsregistry.Store
	url   string
}

func serveFirestore(t *testing.T) onFirestore {
	project := emulatortest.Firestore(t)
	store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions()})
	require.NoError(t, err)
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	server, err := api.New(api.Options{Verifier: v, Registry: registry.New(store)})
	require.NoError(t, err)
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		listener.Close()
		_ = store.Close()
	})
	return onFirestore{t, store, listener.URL}
}

// ask returns the status of an answer.
func (f onFirestore) ask(method, tenant, path string) (int, error) {
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Tenant-Id", tenant)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func (f onFirestore) require(status int, method, tenant, path string) {
	f.t.Helper()
	got, err := f.ask(method, tenant, path)
	require.NoError(f.t, err)
	require.Equal(f.t, status, got, "%s %s by %s", method, path, tenant)
}

// created applies the event of a thread's creation, as the worker does.
func (f onFirestore) created(tenant, thread string, at time.Time) ownership.Outcome {
	event := events.Event{
		ID: "created-" + thread, Source: "//nexus/threads", Time: at,
		Data: events.ThreadCreated{TenantID: tenant, ThreadID: thread},
	}
	return f.store.Apply(f.t.Context(), handlers.Changes(event))[0]
}

// owners returns the owner of every document, by the document's name.
func (f onFirestore) owners() map[string]string {
	owners := map[string]string{}
	require.NoError(f.t, f.store.Export(f.t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		owners[r.Document] = r.History.Owner(l)
		return nil
	}))
	return owners
}

// each runs a case for every number, several at once.
func each(t *testing.T, run func(i int) error) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range claimCases {
		group.Go(func() error { return run(i) })
	}
	require.NoError(t, group.Wait())
}

func TestWhatWasClaimedIsAllowedAtOnce(t *testing.T) {
	t.Parallel()
	f := serveFirestore(t)
	each(t, func(i int) error {
		claimed, err := f.ask(http.MethodPut, "t_a", fmt.Sprintf("/v1/threads/th_%d", i))
		if err != nil || claimed != http.StatusCreated {
			return fmt.Errorf("claim %d: %d, %v", i, claimed, err)
		}
		allowed, err := f.ask(http.MethodGet, "t_a", fmt.Sprintf("/v1/threads/th_%d/access", i))
		if err != nil || allowed != http.StatusNoContent {
			return fmt.Errorf("check %d: %d, %v", i, allowed, err)
		}
		return nil
	})
}

func TestOfTwoTenantsThatClaimAtOnceExactlyOneOwns(t *testing.T) {
	t.Parallel()
	f := serveFirestore(t)
	each(t, func(i int) error {
		path := fmt.Sprintf("/v1/canvases/cv_%d", i)
		tenants := [2]string{"t_a", "t_b"}
		var answers [2]int
		var both errgroup.Group
		for n, tenant := range tenants {
			both.Go(func() (err error) { answers[n], err = f.ask(http.MethodPut, tenant, path); return err })
		}
		if err := both.Wait(); err != nil {
			return err
		}
		winner := 0
		if answers[1] == http.StatusCreated {
			winner = 1
		}
		if answers[winner] != http.StatusCreated || answers[1-winner] != http.StatusConflict {
			return fmt.Errorf("claims of %s: %v, want one 201 and one 409", path, answers)
		}
		for n, want := range map[int]int{winner: http.StatusNoContent, 1 - winner: http.StatusNotFound} {
			if got, err := f.ask(http.MethodGet, tenants[n], path+"/access"); err != nil || got != want {
				return fmt.Errorf("check of %s by %s: %d, %v, want %d", path, tenants[n], got, err, want)
			}
		}
		return nil
	})
}

func TestAClaimAndItsEventAreOneOwnershipInEitherOrder(t *testing.T) {
	f := serveFirestore(t)
	now := time.Now()

	f.require(http.StatusCreated, http.MethodPut, "t_a", "/v1/threads/claimed-first")
	require.Equal(t, ownership.Duplicate, f.created("t_a", "claimed-first", now.Add(-time.Minute)).Kind)

	require.Equal(t, ownership.Applied, f.created("t_a", "published-first", now.Add(-time.Minute)).Kind)
	f.require(http.StatusNoContent, http.MethodPut, "t_a", "/v1/threads/published-first")

	// The publisher's clock may be ahead of the store's: the claim is older then.
	f.require(http.StatusCreated, http.MethodPut, "t_a", "/v1/threads/clock-ahead")
	require.Equal(t, ownership.Duplicate, f.created("t_a", "clock-ahead", now.Add(time.Minute)).Kind)

	for _, thread := range []string{"claimed-first", "published-first", "clock-ahead"} {
		f.require(http.StatusNoContent, http.MethodGet, "t_a", "/v1/threads/"+thread+"/access")
		f.require(http.StatusNotFound, http.MethodGet, "t_b", "/v1/threads/"+thread+"/access")
		f.require(http.StatusNoContent, http.MethodPut, "t_a", "/v1/threads/"+thread)
		f.require(http.StatusConflict, http.MethodPut, "t_b", "/v1/threads/"+thread)
	}
	require.Equal(t, map[string]string{"thread__claimed-first": "t_a", "thread__published-first": "t_a", "thread__clock-ahead": "t_a"}, f.owners())
}

func TestAClaimAndItsEventAtOnceAreOneOwnership(t *testing.T) {
	t.Parallel()
	f := serveFirestore(t)
	now := time.Now()
	each(t, func(i int) error {
		thread := fmt.Sprintf("th_%d", i)
		var claimed int
		var outcome ownership.Outcome
		var both errgroup.Group
		both.Go(func() (err error) { claimed, err = f.ask(http.MethodPut, "t_a", "/v1/threads/"+thread); return err })
		both.Go(func() error { outcome = f.created("t_a", thread, now); return nil })
		if err := both.Wait(); err != nil {
			return err
		}
		if claimed != http.StatusCreated && claimed != http.StatusNoContent {
			return fmt.Errorf("claim of %s: %d", thread, claimed)
		}
		if outcome.Kind != ownership.Applied && outcome.Kind != ownership.Duplicate {
			return fmt.Errorf("event of %s: %+v", thread, outcome)
		}
		return nil
	})
	owners := f.owners()
	require.Len(t, owners, claimCases)
	for document, owner := range owners {
		require.Equal(t, "t_a", owner, document)
	}
}
