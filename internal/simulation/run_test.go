package simulation_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
)

// inBubble runs f in a bubble with a clock of its own, and passes on its panics, by
// which package rapid learns of what does not hold.
func inBubble(t *testing.T, f func()) {
	t.Helper()
	var failure any
	synctest.Test(t, func(*testing.T) {
		defer func() { failure = recover() }()
		f()
	})
	if failure != nil {
		panic(failure)
	}
}

// run is one registry with its workers.
type run struct {
	store   *regstore.Store
	workers []*regstore.Store
	met     map[string]int
	refused map[ownership.Change]bool // for want of room, once at least
	claims  []ownership.Change        // those that were answered yes
}

func newRun(t *rapid.T) *run {
	r := &run{met: map[string]int{}, refused: map[ownership.Change]bool{}}
	db := memdb.New(time.Now)
	for range 4 {
		worker, err := regstore.Open(context.Background(), db, regstore.Options{LedgerRate: 1e6})
		require.NoError(t, err)
		r.workers = append(r.workers, worker)
	}
	r.store = r.workers[3]
	return r
}

func (r *run) rewrite(t *rapid.T) {
	rewriter, err := rewrite.New(r.workers[0], rewrite.Options{Holder: "rewriter", Rate: governor.Unlimited})
	require.NoError(t, err)
	for err == nil {
		err = rewriter.RunPending(context.Background())
	}
	require.ErrorIs(t, err, ownership.ErrNoJob)
}

func (r *run) deliver(t *rapid.T, worker *regstore.Store, batch []event) {
	var changes []ownership.Change
	for _, e := range batch {
		changes = append(changes, e.Changes...)
		if e.Retract != "" {
			o := worker.Apply(context.Background(), []ownership.Change{ownership.Retraction(ownership.Version{Time: time.Unix(9, 0), Source: "//nexus", ID: e.Retract}, "", "")})[0]
			require.NoError(t, o.Err)
		}
		if e.Claim != "" {
			r.claim(t, worker, e)
		}
	}
	for i, o := range worker.Apply(context.Background(), changes) {
		require.NotEqual(t, ownership.Failed, o.Kind, o.Err)
		c := changes[i]
		r.met[string(c.Entry.Type)+" "+string(o.Kind)]++
		if o.Displaced != nil && o.Kind != ownership.Duplicate {
			r.met[string(c.Entry.Type)+" displaced"]++
		}
		if o.Kind == ownership.HistoryFull {
			r.refused[c] = true
		}
	}
}

func (r *run) claim(t *rapid.T, worker *regstore.Store, e event) {
	before := r.history(t, e.Resource)
	created, err := worker.Claim(context.Background(), e.Claim, e.Resource)
	switch {
	case err != nil:
		require.ErrorIs(t, err, registry.ErrConflict)
		r.met["claim 409"]++
	case !created:
		r.met["claim 204"]++
		require.True(t, before.Equal(r.history(t, e.Resource)), "it stores nothing")
	default:
		r.met["claim 201"]++
		if len(before) > 0 {
			r.met["claim 201 beside moves"]++
		}
		kept, ok := r.history(t, e.Resource).Claimed()
		require.True(t, ok)
		require.Equal(t, e.Claim, kept.Tenant)
		r.claims = append(r.claims, ownership.Change{Resource: e.Resource, Entry: kept})
	}
}

func (r *run) history(t *rapid.T, resource registry.Resource) ownership.History {
	if resource == (registry.Resource{}) {
		return nil
	}
	snapshot, err := r.store.Read(context.Background(), []registry.Resource{resource})
	require.NoError(t, err)
	return snapshot.Records[0].History
}
