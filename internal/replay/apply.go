package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// apply applies a batch: changes of the ledger first, then all the rest, which is
// then folded with them and needs no rewriting. What was begun is finished, also
// when ctx ends.
func (r *replay) apply(ctx context.Context, b *batch) error {
	if err := r.governor.Wait(ctx, b.Changes); err != nil {
		return err
	}
	ledger, rest := b.byLane()
	for _, works := range [][]*consumer.Work{ledger, rest} {
		r.applier.Apply(ctx, works)
		if err := b.failed(); err != nil {
			return errors.Join(ctx.Err(), err, r.nameDisplaced(b))
		}
	}
	return r.settle(b)
}

// byLane returns what is to be applied of a batch.
func (b *batch) byLane() (ledger, rest []*consumer.Work) {
	for _, it := range b.Works {
		switch {
		case it.Result.Outcome == handlers.Refused: // it was not understood, or not asked for
		case it.OfLedger():
			ledger = append(ledger, &it.Work)
		default:
			rest = append(rest, &it.Work)
		}
	}
	return ledger, rest
}

// failed returns why a line could not be applied, nil if all could so far.
func (b *batch) failed() error {
	for _, it := range b.Works {
		if it.Result.Outcome == handlers.Transient {
			return fmt.Errorf("%s: %w", it.at, it.Result.Err)
		}
	}
	return nil
}

// settle tells what became of the lines of a batch, and counts them.
func (r *replay) settle(b *batch) error {
	for _, it := range b.Works {
		if it.Result.Outcome == handlers.Refused && r.o.Refused != nil {
			refusal := Refusal{it.at.File, it.at.Line, it.Result.Refusal.Reason, it.Result.Refusal.Detail, it.text}
			if err := r.watermark.locked(func() error { return r.o.Refused(refusal) }); err != nil {
				return fmt.Errorf("note refused line %s: %w", it.at, err)
			}
		}
	}
	if err := r.nameDisplaced(b); err != nil {
		return err
	}
	counts := r.watermark.done(b)
	if r.o.Progress != nil {
		_ = r.watermark.locked(func() error { r.o.Progress(counts); return nil })
	}
	return r.watermark.save(r.o.Save, false)
}

// nameDisplaced names what the lines of a batch displaced, also of one that is
// given up: when the replay goes on, they are duplicates.
func (r *replay) nameDisplaced(b *batch) error {
	if r.o.Displaced == nil {
		return nil
	}
	for _, it := range b.Works {
		for i, o := range it.Outcomes {
			if news := o.Kind == ownership.Applied || o.Kind == ownership.Inapplicable; !news || o.Displaced == nil {
				continue
			}
			d := Displaced{it.at, it.Changes[i].Resource, *o.Displaced}
			if err := r.watermark.locked(func() error { return r.o.Displaced(d) }); err != nil {
				return fmt.Errorf("name what line %s displaced: %w", it.at, err)
			}
		}
	}
	return nil
}
