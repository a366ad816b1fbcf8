package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/firestore"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
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
func (s *ledgerStage) open(ctx context.Context) (*firestore.Store, error) {
	return firestore.Open(ctx, firestore.Options{ProjectID: s.project, ClientOptions: s.away.options()})
}

// wholeMove is the move of everything that a tenant of its own owns.
func wholeMove(i int) registry.Change {
	return registry.Change{Entry: registry.Entry{
		Type: registry.Moved, From: fmt.Sprintf("t_from_%06d", i), To: "t_to",
		Version: registry.Version{Time: epoch.Add(time.Duration(i) * time.Millisecond), Source: source, ID: fmt.Sprintf("whole-%06d", i)},
	}}
}

func newThread(i int) registry.Change {
	return registry.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: threadID(i)},
		Entry: registry.Entry{Type: registry.Created, Tenant: tenant(i, tenants),
			Version: registry.Version{Time: epoch.Add(time.Duration(i) * time.Millisecond), Source: source, ID: fmt.Sprintf("ev-%09d", i)}},
	}
}

// applied counts what was applied, and what was not.
func applied(outcomes []registry.Outcome) (yes, no int) {
	for _, o := range outcomes {
		if o.Kind == registry.Applied {
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
				var changes []registry.Change
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

// asked is what checks and claims answered.
type asked struct {
	mu          sync.Mutex
	times       []time.Duration
	unavailable int
	first       error // of those
}

func (a *asked) add(took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, took)
	if errors.Is(err, registry.ErrUnavailable) {
		a.unavailable++
		if a.first == nil {
			a.first = err
		}
	}
}

func (a *asked) p99() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return percentile(slices.Sorted(slices.Values(a.times)), 99)
}

// movesBesideChecks makes 3,000 moves in a row, by one process, while another one
// is asked.
func (b *bench) movesBesideChecks(ctx context.Context, s *ledgerStage) (string, error) {
	const moves, atOnce, warm = 3000, 200, 500
	writer, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	defer writer.Close()
	reader, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	defer reader.Close()
	v, err := verifier.New(ctx, reader, verifier.Options{})
	if err != nil {
		return "", err
	}
	var seeded []registry.Change
	for i := range warm {
		seeded = append(seeded, newThread(i))
	}
	if _, no := applied(writer.Apply(ctx, seeded)); no > 0 {
		return "", fmt.Errorf("%d of the first creations failed", no)
	}
	quiet, stop := askAll(ctx, v, reader, warm, 0)
	time.Sleep(5 * time.Second) // how long the quiet measurement takes
	stop()
	busy, stop := askAll(ctx, v, reader, warm, 1)
	var group errgroup.Group
	group.SetLimit(atOnce)
	began := time.Now()
	var mu sync.Mutex
	failed := 0
	behind := make(chan time.Duration, 1)
	for i := range moves {
		if i == moves-1 {
			go func() {
				sent := time.Now()
				writer.Apply(ctx, []registry.Change{newThread(1_000_000)})
				behind <- time.Since(sent)
			}()
		}
		group.Go(func() error {
			if _, no := applied(writer.Apply(ctx, []registry.Change{wholeMove(100_000 + i)})); no > 0 {
				mu.Lock()
				failed++
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait()
	took := time.Since(began)
	stop()
	t := table{title: "3,000 moves of whole tenants in a row, 20ms away", header: []string{"beside", "without moves: p99", "with: p99", "asked with moves", "503"}}
	for _, name := range askedFor {
		b.say("ledger  %s: p99 %v without, %v with, %d asked, %d unavailable %v", name, quiet[name].p99(), busy[name].p99(), len(busy[name].times), busy[name].unavailable, busy[name].first)
		t.rows = append(t.rows, []string{name, quiet[name].p99().Round(10 * time.Microsecond).String(), busy[name].p99().Round(10 * time.Microsecond).String(),
			fmt.Sprint(len(busy[name].times)), fmt.Sprint(busy[name].unavailable)})
	}
	creation := <-behind
	b.say("ledger  %d moves in %v, %d failed; a creation behind them: %v", moves, took, failed, creation)
	t.notes = []string{fmt.Sprintf("%d moves, %d at once, took %v; %d failed. A creation that came last, behind them in the same process, took %v.",
		moves, atOnce, took.Round(time.Millisecond), failed, creation.Round(time.Millisecond))}
	return t.String(), nil
}

var askedFor = []string{"checks of the owner", "checks of a foreign tenant", "claims"}

// askAll asks 100 times a second for each kind until stop is called.
func askAll(ctx context.Context, v *verifier.Verifier, store *firestore.Store, threads, round int) (answers map[string]*asked, stop func()) {
	const perSecond = 100
	ctx, cancel := context.WithCancel(ctx)
	answers = map[string]*asked{}
	var asking sync.WaitGroup
	for kind, name := range askedFor {
		a := &asked{}
		answers[name] = a
		ask := func(i int) error {
			switch kind {
			case 0:
				return v.VerifyThreadAccess(ctx, tenant(i%threads, tenants), threadID(i%threads))
			case 1:
				return v.VerifyThreadAccess(ctx, "t_foreign", threadID(i%threads))
			}
			_, err := store.Claim(ctx, "t_claimer", registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("th_claim_%d_%d", round, i)})
			return err
		}
		asking.Go(func() {
			tick := time.NewTicker(time.Second / perSecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				asking.Go(func() {
					began := time.Now()
					err := ask(i)
					if ctx.Err() == nil {
						a.add(time.Since(began), err)
					}
				})
			}
		})
	}
	return answers, func() { cancel(); asking.Wait() }
}

// moveWriters lets several writers make moves one after the other.
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
	stores := make([]*firestore.Store, writers)
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
				yes, no := applied(store.Apply(bounded, []registry.Change{wholeMove(1_000_000 + from + w*1000 + i)}))
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
