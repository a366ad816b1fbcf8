package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// others are what checks and creations waited for, in order.
type others struct{ checks, creations []time.Duration }

// beside checks and creates for as long as something else is done.
func (p *place) beside(ctx context.Context, do func() error) (o others, err error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	var ended error
	over := false
	o, err = p.others(ctx, func() bool {
		select {
		case ended = <-done:
			over = true
		default:
		}
		return !over
	})
	if !over {
		ended = <-done
	}
	return o, errors.Join(err, ended)
}

// others checks and creates for a while, and for as long as goesOn says.
func (p *place) others(ctx context.Context, goesOn func() bool) (o others, err error) {
	store, err := open(ctx, p.db)
	if err != nil {
		return o, err
	}
	defer store.Close()
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		return o, err
	}
	defer v.Close()
	var mu sync.Mutex
	var failed error
	ask := func(took *[]time.Duration, do func() error) {
		began := time.Now()
		err := do()
		mu.Lock()
		defer mu.Unlock()
		if *took = append(*took, time.Since(began)); failed == nil {
			failed = err // of many the first
		}
	}
	var all sync.WaitGroup
	ticker := time.NewTicker(time.Second / migratedOthers)
	defer ticker.Stop()
	for began, i := time.Now(), 0; ctx.Err() == nil && (goesOn() || time.Since(began) < migratedQuiet); i++ {
		all.Go(func() {
			c := threadOf("t_creator", i)
			ask(&o.creations, func() error { return store.Apply(ctx, []ownership.Change{c})[0].Err })
			ask(&o.checks, func() error { return v.VerifyThreadAccess(ctx, "t_creator", c.Resource.ID) })
		})
		<-ticker.C
	}
	all.Wait()
	slices.Sort(o.checks)
	slices.Sort(o.creations)
	return o, errors.Join(failed, ctx.Err())
}
