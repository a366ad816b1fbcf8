package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// apply applies a batch, and tries again what failed. What was begun is
// finished, also when ctx ends.
func (r *replay) apply(ctx context.Context, b *batch) error {
	if err := r.governor.Wait(ctx, b.size); err != nil {
		return err
	}
	results := make([]handlers.Result, len(b.items))
	pending := make([]int, 0, len(b.items))
	for i, it := range b.items {
		if it.refusal != nil {
			results[i] = handlers.Refuse(it.refusal)
		} else {
			pending = append(pending, i)
		}
	}
	giveUp, wait := time.Now().Add(r.o.RetryFor), 100*time.Millisecond
	for {
		r.attempt(context.WithoutCancel(ctx), b, pending, results)
		var failed []int
		for _, i := range pending {
			if results[i].Verdict == handlers.Transient {
				failed = append(failed, i)
			}
		}
		if pending = failed; len(pending) == 0 {
			break
		}
		err := fmt.Errorf("%s: %w", b.items[pending[0]].at, results[pending[0]].Err)
		if final := firstFinal(pending, results); final != nil {
			return errors.Join(final, r.nameDisplaced(b)) // nothing changes it but another release
		}
		if time.Now().After(giveUp) || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err, r.nameDisplaced(b))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err, r.nameDisplaced(b))
		}
		wait = min(2*wait, 5*time.Second)
	}
	return r.settle(b, results)
}

// firstFinal returns the first error that this release gets whenever it tries.
func firstFinal(pending []int, results []handlers.Result) error {
	for _, i := range pending {
		if err := results[i].Err; errors.Is(err, registry.ErrTooNew) || errors.Is(err, registry.ErrIncompatible) {
			return err
		}
	}
	return nil
}

// attempt applies what is pending: changes of the ledger first, then all the rest,
// which is then folded with them and needs no rewriting.
func (r *replay) attempt(ctx context.Context, b *batch, pending []int, results []handlers.Result) {
	var ledger, rest []int
	for _, i := range pending {
		if b.items[i].changes[0].OfLedger() {
			ledger = append(ledger, i)
		} else {
			rest = append(rest, i)
		}
	}
	for _, part := range [][]int{ledger, rest} {
		r.applyItems(ctx, b, part, results)
	}
}

func (r *replay) applyItems(ctx context.Context, b *batch, indexes []int, results []handlers.Result) {
	if len(indexes) == 0 {
		return
	}
	var changes []ownership.Change
	for _, i := range indexes {
		changes = append(changes, b.items[i].changes...)
	}
	outcomes := r.store.Apply(ctx, changes)
	for _, i := range indexes {
		own := len(b.items[i].changes)
		results[i] = handlers.Reduce(outcomes[:own])
		b.items[i].note(outcomes[:own])
		outcomes = outcomes[own:]
	}
}

// note keeps what the outcomes of an item's changes displaced.
func (it *item) note(outcomes []ownership.Outcome) {
	for i, o := range outcomes {
		if news := o.Kind == ownership.Applied || o.Kind == ownership.Inapplicable; news && o.Displaced != nil {
			it.displaced = append(it.displaced, Displaced{it.at, it.changes[i].Resource, *o.Displaced})
		}
	}
}

func (r *replay) settle(b *batch, results []handlers.Result) error {
	for i, result := range results {
		if result.Verdict == handlers.Refused && r.o.Refused != nil {
			it := b.items[i]
			refusal := Refusal{it.at.File, it.at.Line, result.Refusal.Reason, result.Refusal.Detail, it.text}
			if err := r.ledger.locked(func() error { return r.o.Refused(refusal) }); err != nil {
				return fmt.Errorf("note refused line %s: %w", it.at, err)
			}
		}
	}
	if err := r.nameDisplaced(b); err != nil {
		return err
	}
	counts := r.ledger.done(b, results)
	if r.o.Progress != nil {
		_ = r.ledger.locked(func() error { r.o.Progress(counts); return nil })
	}
	return r.ledger.save(r.o.Save, false)
}

// nameDisplaced names what the lines of a batch displaced, also of one that is
// given up: when the replay goes on, they are duplicates.
func (r *replay) nameDisplaced(b *batch) error {
	if r.o.Displaced == nil {
		return nil
	}
	for _, it := range b.items {
		for _, d := range it.displaced {
			if err := r.ledger.locked(func() error { return r.o.Displaced(d) }); err != nil {
				return fmt.Errorf("name what line %s displaced: %w", it.at, err)
			}
		}
	}
	return nil
}
