package simulation_test

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

// run is one registry with its workers.
type run struct {
	now     time.Time
	store   *memory.Store
	workers []*memory.Store
	met     map[string]int
	refused map[registry.Change]bool // for want of room, once at least
	claims  []registry.Change        // those that were answered yes
}

func newRun() *run {
	r := &run{now: began, met: map[string]int{}, refused: map[registry.Change]bool{}}
	r.store = memory.NewAt(func() time.Time { return r.now })
	for range 3 {
		r.workers = append(r.workers, r.store.Open(memory.Options{LedgerStaleness: 5 * time.Second, CommitDeadline: 10 * time.Second}))
	}
	return r
}

func (r *run) rewrite(t *rapid.T) {
	rewriter, err := rewrite.New(r.workers[0], rewrite.Options{
		Holder: "rewriter", Rate: governor.Unlimited, Now: func() time.Time { return r.now },
		Sleep: func(_ context.Context, d time.Duration) error { r.now = r.now.Add(d); return nil },
	})
	require.NoError(t, err)
	for err == nil {
		err = rewriter.RunNext(context.Background())
	}
	require.ErrorIs(t, err, registry.ErrNoJob)
}

func (r *run) deliver(t *rapid.T, worker *memory.Store, batch []event) {
	var changes []registry.Change
	for _, e := range batch {
		changes = append(changes, e.Changes...)
		if e.Retract != "" {
			o := worker.Retract(context.Background(), registry.Retraction{Source: "//nexus", ID: e.Retract, At: time.Unix(9, 0)})
			require.NoError(t, o.Err)
		}
		if e.Claim != "" {
			r.claim(t, worker, e)
		}
	}
	for i, o := range worker.Apply(context.Background(), changes) {
		require.NotEqual(t, registry.Failed, o.Kind, o.Err)
		c := changes[i]
		r.met[string(c.Entry.Type)+" "+string(o.Kind)]++
		if o.Displaced != nil && o.Kind != registry.Duplicate {
			r.met[string(c.Entry.Type)+" displaced"]++
		}
		if o.Kind == registry.HistoryFull {
			r.refused[c] = true
		}
	}
}

func (r *run) claim(t *rapid.T, worker *memory.Store, e event) {
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
		r.claims = append(r.claims, registry.Change{Resource: e.Resource, Entry: kept})
	}
}

func (r *run) history(t *rapid.T, resource registry.Resource) registry.History {
	if resource == (registry.Resource{}) {
		return nil
	}
	snapshot, err := r.store.Read(context.Background(), []registry.Resource{resource})
	require.NoError(t, err)
	return snapshot.Records[0].History
}
