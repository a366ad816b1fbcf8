package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// moveWriters measures moves of whole tenants by several writers at once. Each
// makes its next move when the one before is applied.
func (b *bench) moveWriters(ctx context.Context, s *ledgerStage) (string, error) {
	const lasting = 10 * time.Second
	t := table{title: "Moves of whole tenants by many writers, 20ms away", header: []string{"writers", "moves/s", "commits of the ledger/s", "slowest", "failed"},
		notes: []string{"Each writer makes the next move when the one before is applied. Those of one worker share its ledger's lane; where each is a worker of its own they meet at the ledger's head."}}
	next := 0
	for _, apart := range []bool{false, true} {
		for _, writers := range []int{1, 8, 32} {
			if apart && writers == 1 {
				continue
			}
			row, err := b.writeMoves(ctx, s, writers, apart, lasting, next)
			if err != nil {
				return "", err
			}
			next += 100_000
			t.rows = append(t.rows, row)
		}
	}
	return t.String(), nil
}

func (b *bench) writeMoves(ctx context.Context, s *ledgerStage, writers int, apart bool, lasting time.Duration, from int) ([]string, error) {
	stores := make([]*fsregistry.Store, writers)
	for i := range stores {
		if i > 0 && !apart {
			stores[i] = stores[0]
			continue
		}
		store, err := s.open(ctx)
		if err != nil {
			return nil, err
		}
		defer store.Close()
		stores[i] = store
	}
	meter := s.away.firestore.Meter()
	meter.Reset()
	var mu sync.Mutex
	var done, failed int
	var slowest time.Duration
	var group errgroup.Group
	began := time.Now()
	for w, store := range stores {
		group.Go(func() error {
			for i := 0; time.Since(began) < lasting; i++ {
				sent := time.Now()
				bounded, cancel := context.WithTimeout(ctx, 10*time.Second) // the worker's
				yes, no := applied(store.Apply(bounded, []ownership.Change{wholeMove(1_000_000 + from + w*1000 + i)}))
				cancel()
				mu.Lock()
				done, failed, slowest = done+yes, failed+no, max(slowest, time.Since(sent))
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait()
	seconds := time.Since(began).Seconds()
	name := fmt.Sprintf("%d in one worker", writers)
	if apart {
		name = fmt.Sprintf("%d workers", writers)
	}
	commits := float64(meter.Calls("Commit")) / seconds
	b.say("ledger  %s: %.1f moves/s, %.1f commits/s, slowest %v, %d failed", name, float64(done)/seconds, commits, slowest, failed)
	return []string{name, fmt.Sprintf("**%.1f**", float64(done)/seconds), fmt.Sprintf("%.1f", commits), slowest.Round(time.Millisecond).String(), fmt.Sprint(failed)}, nil
}
