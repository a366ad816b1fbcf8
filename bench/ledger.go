package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// ledgerRoundTrip is how far away the ledger is measured.
const ledgerRoundTrip = 20 * time.Millisecond

// ledger measures moves of whole tenants under the rules of the services: beside
// creations, beside checks and claims, and by many writers at once. Its counts
// are fixed.
func (b *bench) ledger(ctx context.Context) (string, error) {
	if err := b.refresh(ctx, 0); err != nil {
		return "", err
	}
	var tables string
	for _, part := range []func(context.Context, *ledgerStage) (string, error){b.movesBesideCreations, b.movesBesideChecks, b.moveWriters} {
		s, err := b.newLedgerStage()
		if err != nil {
			return "", err
		}
		text, err := part(ctx, s)
		_ = s.away.close()
		if err != nil {
			return "", err
		}
		tables += text + "\n"
	}
	return tables, nil
}

// ledgerStage is a registry of its own, 20 ms away.
type ledgerStage struct {
	project string
	away    *away
}

func (b *bench) newLedgerStage() (*ledgerStage, error) {
	a, err := newAway(b.emulators, ledgerRoundTrip)
	return &ledgerStage{fmt.Sprintf("bench-%08x", rand.Uint32()), a}, err
}

// open is one process's store.
func (s *ledgerStage) open(ctx context.Context) (*fsregistry.Store, error) {
	return fsregistry.Open(ctx, fsregistry.Options{ProjectID: s.project, ClientOptions: s.away.options()})
}

// wholeMove is the move of everything that a tenant of its own owns.
func wholeMove(i int) ownership.Change {
	return ownership.Change{Entry: ownership.Entry{
		Type: ownership.Moved, From: fmt.Sprintf("t_from_%06d", i), To: "t_to",
		Version: ownership.Version{Time: epoch.Add(time.Duration(i) * time.Millisecond), Source: source, ID: fmt.Sprintf("whole-%06d", i)},
	}}
}

func newThread(i int) ownership.Change {
	return ownership.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: threadID(i)},
		Entry: ownership.Entry{Type: ownership.Created, Tenant: tenant(i, tenants),
			Version: ownership.Version{Time: epoch.Add(time.Duration(i) * time.Millisecond), Source: source, ID: fmt.Sprintf("ev-%09d", i)}},
	}
}

// applied counts what was applied, and what was not.
func applied(outcomes []ownership.Outcome) (yes, no int) {
	for _, o := range outcomes {
		if o.Kind == ownership.Applied {
			yes++
		} else {
			no++
		}
	}
	return yes, no
}

// movesBesideCreations applies batches as the worker makes them, several at once.
func (b *bench) movesBesideCreations(ctx context.Context, s *ledgerStage) (string, error) {
	const batches, moves, creates = 8, 60, 440
	store, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	defer store.Close()
	t := table{title: "Moves of whole tenants beside creations, 20ms away", header: []string{"8 batches at once of", "applied", "failed", "the slowest batch"}}
	for k, each := range []int{0, 5, 20, moves} {
		var mu sync.Mutex
		var yes, no int
		var group errgroup.Group
		began := time.Now()
		for i := range batches {
			group.Go(func() error {
				var changes []ownership.Change
				for m := range each {
					changes = append(changes, wholeMove(k*batches*moves+i*moves+m))
				}
				for c := range creates {
					changes = append(changes, newThread((k*batches+i)*creates+c))
				}
				bounded, cancel := context.WithTimeout(ctx, 10*time.Second) // the worker's
				defer cancel()
				a, f := applied(store.Apply(bounded, changes))
				mu.Lock()
				defer mu.Unlock()
				yes, no = yes+a, no+f
				return nil
			})
		}
		_ = group.Wait()
		took := time.Since(began).Round(time.Millisecond)
		b.say("ledger  8 x (%d moves + %d creations): %d applied, %d failed, %v", each, creates, yes, no, took)
		t.rows = append(t.rows, []string{fmt.Sprintf("%d moves and %d creations", each, creates), fmt.Sprint(yes), fmt.Sprint(no), took.String()})
	}
	return t.String(), nil
}
