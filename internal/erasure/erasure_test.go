package erasure_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

const left = "t_left"

var collections = []string{"realtime_registry", "realtime_registry_ledger", "realtime_registry_feed", "realtime_registry_actions", "rate_limit_counters"}

func thread(i int) registry.Resource {
	return registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th_", i)}
}

func version(second int, id string) ownership.Version {
	return ownership.Version{Time: time.Unix(int64(second), 0).UTC(), Source: "//test", ID: id}
}

func created(r registry.Resource, tenant string) ownership.Change {
	return ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: version(10, "c-"+r.ID)}}
}

func moved(r registry.Resource, from, to string, second int, id string) ownership.Change {
	return ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Moved, From: from, To: to, Version: version(second, id), Actor: "someone at " + from}}
}

func apply(t *testing.T, s *memregistry.Store, changes ...ownership.Change) {
	t.Helper()
	for part := range slices.Chunk(changes, 500) {
		for _, o := range s.Apply(t.Context(), part) {
			require.NoError(t, o.Err)
		}
	}
}

// settle ends all jobs of the rewriting.
func settle(t *testing.T, s *memregistry.Store) {
	t.Helper()
	for {
		jobs, err := s.Jobs(t.Context(), 0, 10, func(int64) bool { return false })
		require.NoError(t, err)
		if len(jobs) == 0 {
			return
		}
		for _, job := range jobs {
			records, _, err := s.Affected(t.Context(), ownership.Page{Tenants: job.Entry.Rewriting.Tenants, Limit: 100_000})
			require.NoError(t, err)
			_, err = s.Rewrite(t.Context(), records)
			require.NoError(t, err)
			job.Entry.Rewriting = job.Entry.Rewriting.TakenUp("test", time.Now(), job.Revision)
			job.Entry.Rewriting.State = ownership.RewritingDone
			_, err = s.SaveJob(t.Context(), job)
			require.NoError(t, err)
		}
	}
}

// holding returns the documents that have a text anywhere.
func holding(t *testing.T, db docdb.DB, text string) (found []string) {
	t.Helper()
	documents := 0
	for _, c := range collections {
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: c}, func(d *docdb.Document) error {
			documents++
			if strings.Contains(d.String(), text) {
				found = append(found, d.String())
			}
			return nil
		}))
	}
	require.NotZero(t, documents)
	return found
}

// naming returns the documents that name the tenant.
func naming(t *testing.T, s *memregistry.Store) []string {
	t.Helper()
	return slices.DeleteFunc(holding(t, s.DB(), left), func(d string) bool { return strings.Contains(d, "t_left2") })
}

// registryOf makes a registry in which a tenant has, had, and was named by, all there is.
func registryOf(t *testing.T, threads int) *memregistry.Store {
	t.Helper()
	s := memregistry.New()
	var changes []ownership.Change
	for i := range threads {
		changes = append(changes, created(thread(i), left))
	}
	apply(t, s, changes...)
	_, err := s.Claim(t.Context(), left, thread(-1), registry.ForEvent("//of "+left, "e"))
	require.NoError(t, err)
	apply(t, s, created(thread(-2), "t_else"), created(thread(-3), "t_else"), created(thread(-4), "t_first"), created(thread(-5), left), created(thread(-6), "t_second"))
	apply(t, s, moved(thread(-2), "t_nobody", left, 20, "without effect"), moved(thread(-5), left, "t_else", 20, "away-from-"+left))
	apply(t, s, moved(registry.Resource{}, "t_first", left, 30, "t_first-"+left), moved(registry.Resource{}, left, "t_else", 5, "before all"))
	apply(t, s, moved(registry.Resource{}, "t_second", left, 40, "to"), moved(registry.Resource{}, left, "t_third", 50, "from"), ownership.Retraction(version(0, "from"), "op of "+left, "for "+left))
	apply(t, s, moved(registry.Resource{}, left, "t_third", 51, "twice-"+left), ownership.Retraction(version(0, "twice-"+left), "a", ""), ownership.Retraction(version(0, "twice-"+left), "b", ""))
	s.SetPlain("canvas__plain", left, false)
	settle(t, s)
	for _, name := range []string{left + "__chat_send", left + "__all-actions", "t_left2__chat_send"} {
		put(t, s.DB(), "rate_limit_counters", name, map[string]*docdb.Value{"count": docdb.Integer(1)})
	}
	put(t, s.DB(), "realtime_registry_actions", "1", map[string]*docdb.Value{"comment": docdb.Text("letters of " + left), "which": docdb.Texts([]string{left})})
	return s
}

func put(t *testing.T, db docdb.DB, collection, name string, fields map[string]*docdb.Value) {
	t.Helper()
	_, err := db.Commit(t.Context(), docdb.Write{Name: db.Name(collection, name), Fields: fields})
	require.NoError(t, err)
}

func eraser(s *memregistry.Store) erasure.Eraser {
	return erasure.Eraser{
		Store: s, DB: s.DB(), Rate: governor.Unlimited,
		Windows: []string{"rate_limit_counters"}, Texts: []string{"realtime_registry_actions"},
	}
}

// owners are those of all resources, but for what was deleted.
func owners(t *testing.T, s *memregistry.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, s.Export(t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		owner, err := r.Owner(l)
		require.Equal(t, owner, r.TenantID)
		if owner != "" {
			all[r.Document] = owner
		}
		return err
	}))
	return all
}

// kept are the owners that an erasure leaves as they are.
func kept(before map[string]string) map[string]string {
	all := map[string]string{}
	for document, owner := range before {
		if owner != left {
			all[document] = owner
		}
	}
	return all
}

func TestNothingThatTheDatabaseHoldsNamesAnErasedTenant(t *testing.T) {
	const threads = 10_000
	s := registryOf(t, threads)
	before := owners(t, s)
	plan, err := eraser(s).Plan(t.Context(), left)
	require.NoError(t, err)
	require.EqualValues(t, threads+5, plan.Documents)
	require.Equal(t, 5, plan.Moves)
	require.Empty(t, plan.Pending)

	r, err := eraser(s).Run(t.Context(), left, "an operator", "ticket 4711")
	require.NoError(t, err)
	require.Empty(t, naming(t, s))
	require.Empty(t, r.Left)
	require.Equal(t, threads+4, r.Deleted)
	require.EqualValues(t, []int64{plan.Documents, int64(plan.Moves), int64(plan.Windows)}, []int64{int64(r.Documents), int64(r.Moves), int64(r.Windows)}, "as it was planned")
	require.Equal(t, 1, r.Found, "an event without effect")
	require.Equal(t, 2, r.Windows)
	require.Equal(t, 1, r.Texts)
	require.NotEmpty(t, holding(t, s.DB(), "t_left2__chat_send"), "another tenant's is left")
	settle(t, s)
	require.Equal(t, kept(before), owners(t, s), "all others own what they did")

	fresh := s.Open(memregistry.Options{})
	record, err := fresh.Read(t.Context(), []registry.Resource{thread(0)})
	require.NoError(t, err)
	require.True(t, record.Records[0].History.Deleted())

	again, err := eraser(s).Run(t.Context(), left, "an operator", "ticket 4711")
	require.NoError(t, err)
	require.Zero(t, again.Documents, "and there is nothing left to do")
	require.Equal(t, r.Pseudonym, again.Pseudonym)
}

func TestWhatComesOfAnErasedTenantRevivesNothingAndNamesNobody(t *testing.T) {
	s := registryOf(t, 10)
	_, err := eraser(s).Run(t.Context(), left, "op", "")
	require.NoError(t, err)
	settle(t, s)
	before := owners(t, s)

	late := s.Open(memregistry.Options{})
	apply(t, late, created(thread(0), left), created(thread(100), left), created(thread(101), left))
	apply(t, late, moved(thread(101), left, "t_else", 60, "late-"+left), moved(registry.Resource{}, left, "t_else", 5, "before all"), moved(registry.Resource{}, "t_first", left, 30, "t_first-"+left))
	_, err = late.Claim(t.Context(), left, thread(102))
	require.ErrorIs(t, err, registry.ErrConflict)
	settle(t, s)
	require.Empty(t, naming(t, s))
	after := owners(t, s)
	require.True(t, ownership.IsPseudonym(after["thread__th_100"]), "nobody's")
	require.Equal(t, "t_else", after["thread__th_101"])
	delete(after, "thread__th_100")
	delete(after, "thread__th_101")
	require.Equal(t, before, after, "moves that come again are known, under whatever name")
}
