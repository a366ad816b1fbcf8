package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Store is what an Applier needs of a store.
type Store interface {
	Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome
}

// Work is the changes of one event on their way into a store.
type Work struct {
	Changes []ownership.Change
	// Done, if it is not nil, is called once with the result.
	Done func(handlers.Result)
	// Outcomes is what became of each change, in all attempts; the zero Outcome
	// if it was not tried.
	Outcomes []ownership.Outcome
	// Result is what became of all of them.
	Result handlers.Result

	span trace.Span
}

// OfLedger reports whether some change goes to the ledger.
func (w *Work) OfLedger() bool {
	for _, change := range w.Changes {
		if change.OfLedger() {
			return true
		}
	}
	return false
}

func (w *Work) end(result handlers.Result) {
	w.Result = result
	if w.Done != nil {
		w.Done(result)
	}
}

// An Applier gives batches of work to a store, and retries temporary failures. A
// Consumer and a replay of archives share it.
type Applier struct {
	Store         Store
	CommitTimeout time.Duration // bounds one call of the store
	RetryBudget   time.Duration // from the first attempt on

	telemetry *telemetry // nil: none
}

// Apply applies works together. It returns when each has a result: one that is not
// transient, or the last transient one if the retry budget is used up or ctx has
// ended. It does not retry what only another release can do (registry.ErrTooNew,
// registry.ErrIncompatible). The end of ctx interrupts no call of the store. If the
// store panics, only the work that causes it is refused.
func (a *Applier) Apply(ctx context.Context, works []*Work) { a.apply(ctx, works, nil) }

// apply is Apply with a slot of a lane, nil for none. It is called with the slot,
// and holds it during attempts and not between them, so that a failing batch does
// not hold up others.
func (a *Applier) apply(ctx context.Context, works []*Work, l *lane) {
	rest, held := works, true
	for _, w := range works {
		w.Outcomes = make([]ownership.Outcome, len(w.Changes))
	}
	attempt := func() error {
		if !held && !l.take(ctx) {
			return backoff.Permanent(ctx.Err())
		}
		held = false
		rest = a.attempt(rest)
		l.free()
		if len(rest) == 0 {
			return nil
		}
		a.telemetry.retried()
		return rest[0].Result.Err
	}
	_ = backoff.Retry(attempt, backoff.WithContext(a.retries(), ctx)) // the results tell
	for _, w := range rest {
		w.end(w.Result)
	}
}

// retries is the backoff between attempts: 50 ms at first, doubled each time up
// to 2 s, each drawn from half to one and a half of that.
func (a *Applier) retries() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(a.RetryBudget),
	)
}

// attempt applies what has no final outcome yet, ends what is done, and returns
// the rest, to be tried again.
func (a *Applier) attempt(works []*Work) (rest []*Work) {
	if a.commit(works) && len(works) > 1 {
		for _, w := range works { // one of them makes the store panic: apply each alone
			rest = append(rest, a.attempt([]*Work{w})...)
		}
		return rest
	}
	for _, w := range works {
		w.Result = handlers.Reduce(w.Outcomes)
		if w.Result.Outcome == handlers.Transient && !hopeless(w.Result.Err) {
			rest = append(rest, w)
			continue
		}
		w.end(w.Result)
	}
	return rest
}

// hopeless reports whether only another release can do better.
func hopeless(err error) bool {
	return errors.Is(err, registry.ErrTooNew) || errors.Is(err, registry.ErrIncompatible)
}

// commit calls Store.Apply once, with every change that has no final outcome, and a
// deadline of its own. If the store panics on a single work, that is the work's
// outcome; of several it is not known which one caused it.
func (a *Applier) commit(works []*Work) (panicked bool) {
	changes, slots := open(works)
	if len(changes) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), a.CommitTimeout)
	defer cancel()
	ctx, done := a.telemetry.applying(ctx, works, len(changes))
	defer done()
	defer func() {
		p := recover()
		if panicked = p != nil; panicked && len(works) == 1 {
			failure := &ownership.PanicError{Value: p, Stack: debug.Stack()}
			for _, slot := range slots {
				*slot = ownership.Outcome{Kind: ownership.Failed, Err: failure}
			}
		}
	}()
	outcomes := a.Store.Apply(ctx, changes)
	for i, slot := range slots {
		if len(outcomes) != len(changes) {
			*slot = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf(
				"%w: the store gave %d outcomes for %d changes", registry.ErrUnavailable, len(outcomes), len(changes))}
			continue
		}
		*slot = outcomes[i]
	}
	return false
}

// open returns the changes that have no final outcome, and where the outcome of
// each goes.
func open(works []*Work) (changes []ownership.Change, slots []*ownership.Outcome) {
	for _, w := range works {
		for i, change := range w.Changes {
			if !handlers.Final(w.Outcomes[i]) {
				changes = append(changes, change)
				slots = append(slots, &w.Outcomes[i])
			}
		}
	}
	return changes, slots
}
