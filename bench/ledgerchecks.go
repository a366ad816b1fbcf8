package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

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
	const warm, quietFor = 500, 5 * time.Second
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
	v, err := verifier.New(reader, verifier.Options{})
	if err != nil {
		return "", err
	}
	defer v.Close()
	var seeded []ownership.Change
	for i := range warm {
		seeded = append(seeded, newThread(i))
	}
	if _, no := applied(writer.Apply(ctx, seeded)); no > 0 {
		return "", fmt.Errorf("%d of the first creations failed", no)
	}
	quiet, stop := askAll(ctx, v, reader, warm, 0)
	time.Sleep(quietFor)
	stop()
	busy, stop := askAll(ctx, v, reader, warm, 1)
	note := b.movesInARow(ctx, writer)
	stop()
	t := table{title: "3,000 moves of whole tenants in a row, 20ms away", header: []string{"beside", "without moves: p99", "with: p99", "asked with moves", "503"}, notes: []string{note}}
	for _, name := range askedFor {
		b.say("ledger  %s: p99 %v without, %v with, %d asked, %d unavailable %v", name, quiet[name].p99(), busy[name].p99(), len(busy[name].times), busy[name].unavailable, busy[name].first)
		t.rows = append(t.rows, []string{name, quiet[name].p99().Round(10 * time.Microsecond).String(), busy[name].p99().Round(10 * time.Microsecond).String(),
			fmt.Sprint(len(busy[name].times)), fmt.Sprint(busy[name].unavailable)})
	}
	return t.String(), nil
}

// movesInARow makes 3,000 moves, and a creation behind them. It returns a
// sentence about them.
func (b *bench) movesInARow(ctx context.Context, writer *fsregistry.Store) string {
	const moves, atOnce = 3000, 200
	var group errgroup.Group
	group.SetLimit(atOnce)
	began := time.Now()
	var failed atomic.Int64
	behind := make(chan time.Duration, 1)
	for i := range moves {
		if i == moves-1 {
			go func() {
				sent := time.Now()
				writer.Apply(ctx, []ownership.Change{newThread(1_000_000)})
				behind <- time.Since(sent)
			}()
		}
		group.Go(func() error {
			_, no := applied(writer.Apply(ctx, []ownership.Change{wholeMove(100_000 + i)}))
			failed.Add(int64(no))
			return nil
		})
	}
	_ = group.Wait()
	took, creation := time.Since(began), <-behind
	b.say("ledger  %d moves in %v, %d failed; a creation behind them: %v", moves, took, failed.Load(), creation)
	return fmt.Sprintf("%d moves, %d at once, took %v; %d failed. A creation that came last, behind them in the same process, took %v.",
		moves, atOnce, took.Round(time.Millisecond), failed.Load(), creation.Round(time.Millisecond))
}

var askedFor = []string{"checks of the owner", "checks of a foreign tenant", "claims"}

// askAll asks 100 times a second for each kind until stop is called.
func askAll(ctx context.Context, v *verifier.Verifier, store *fsregistry.Store, threads, round int) (answers map[string]*asked, stop func()) {
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
