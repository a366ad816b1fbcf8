//go:build proofs

package fsregistry_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// Others move 5,000 resources a second, with Firestore 20 ms away and its rules
// before it: 20 entries of the feed a second, each of 250 resources, as commits write
// them. The documents themselves are left out, which no verifier reads. A quiet
// tenant's list is certified at least every MaxStaleness/2 meanwhile; that its own
// moves are told is part of it.
func TestProofThatAQuietTenantIsCertifiedAtADistanceBeside5000ChangesASecond(t *testing.T) {
	const (
		staleness = 2 * time.Second
		long      = 30 * time.Second
		perEntry  = 250
		entries   = 20 // a second
	)
	f := newFar(t)
	hers := threads(5)
	f.create("t_ann", hers)
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: f.project.ID, ClientOptions: f.project.FirestoreOptions()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	f.project.FirestoreRules.Distance(20 * time.Millisecond)

	v, err := verifier.New(f.open(), verifier.Options{MaxStaleness: staleness, MaxAge: verifier.Unbounded})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	var watched []verifier.Ownership
	for _, r := range hers {
		watched = append(watched, verifier.Ownership{TenantID: "t_ann", Resource: r})
	}
	w, refused, err := v.WatchAll(t.Context(), watched)
	require.NoError(t, err)
	require.Empty(t, refused)
	t.Cleanup(w.Close)

	var written atomic.Int64
	var others errgroup.Group
	over := make(chan struct{})
	for i := range entries {
		others.Go(func() error {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for n := 0; ; n++ {
				names := make([]string, perEntry)
				for j := range names {
					names[j] = registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("o_%d_%d", i, j)}.DocumentID()
				}
				_, err := db.Commit(t.Context(), docdb.Write{
					Name:   db.Name(fsregistry.FeedCollection, fmt.Sprintf("%d-%d", i, n)),
					Fields: map[string]*docdb.Value{"resources": docdb.Texts(names), "format": docdb.Integer(2)},
					Times:  []string{"at"},
				})
				if err != nil {
					return err
				}
				written.Add(perEntry)
				select {
				case <-tick.C:
				case <-over:
					return nil
				}
			}
		})
	}
	time.Sleep(3 * time.Second) // they are at their pace
	before, began := written.Load(), time.Now()
	last, longest, oldest, uncertain, lost := began, time.Duration(0), time.Duration(0), 0, 0
	for moved := false; time.Since(began) < long; {
		news, err := w.Next(t.Context())
		require.NoError(t, err)
		lost += len(news.Lost)
		if news.Uncertain != "" {
			uncertain++
		}
		if news.Certified {
			longest, oldest, last = max(longest, news.At.Sub(last)), max(oldest, news.Age), news.At
		}
		if !moved && time.Since(began) > long/2 {
			moved = true
			f.moved("t_ann", "t_bob", hers[0])
		}
	}
	rate := float64(written.Load()-before) / time.Since(began).Seconds()
	close(over)
	require.NoError(t, others.Wait())
	t.Logf("beside %.0f changes a second: certified every %v at the latest, %v old at most, %d times uncertain", rate, longest, oldest, uncertain)
	require.Greater(t, rate, 4500.0, "the others are not as fast as they should be: is the machine busy?")
	require.LessOrEqual(t, longest, staleness/2+staleness/20)
	require.LessOrEqual(t, oldest, staleness)
	require.Zero(t, uncertain)
	require.Equal(t, 1, lost)
}
