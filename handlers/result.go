package handlers

import (
	"errors"
	"fmt"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Outcome is what became of a message as a whole. It is a metric label.
type Outcome string

// The outcomes (design §5).
const (
	Applied      Outcome = "applied"      // something was committed that counts
	Duplicate    Outcome = "duplicate"    // the registry has all of it already
	Inapplicable Outcome = "inapplicable" // committed, and without effect for now
	Gone         Outcome = "gone"         // the resource was deleted: nothing brings it back
	Refused      Outcome = "refused"      // can never succeed: Refusal says why
	Transient    Outcome = "transient"    // may succeed later: Err says why
)

// Result is the outcome of a message, with its reason.
type Result struct {
	Outcome Outcome
	Refusal *events.Refusal // Refused only
	Err     error           // Transient only
}

// Refuse is the result of a message that can never succeed.
func Refuse(r *events.Refusal) Result { return Result{Outcome: Refused, Refusal: r} }

// Retry is the result of a message that may succeed later.
func Retry(err error) Result { return Result{Outcome: Transient, Err: err} }

// Reduce turns the outcomes of one event's changes into the result of its
// message (design §5): any transient outcome makes the message transient; else
// the first refused one refuses it; else it is applied, inapplicable, gone or a
// duplicate, the first of these that occurs. What was applied stays, whatever
// became of the rest: repeating it is harmless.
func Reduce(outcomes []ownership.Outcome) Result {
	result := Result{Outcome: Duplicate}
	for _, o := range outcomes {
		if r := one(o); rank[r.Outcome] > rank[result.Outcome] {
			result = r
		}
	}
	return result
}

// rank orders outcomes: of several, the highest is the message's.
var rank = map[Outcome]int{Duplicate: 0, Gone: 1, Inapplicable: 2, Applied: 3, Refused: 4, Transient: 5}

// Final reports whether trying the change again would end the same way.
func Final(o ownership.Outcome) bool { return one(o).Outcome != Transient }

func one(o ownership.Outcome) Result {
	switch o.Kind {
	case ownership.Applied:
		return Result{Outcome: Applied}
	case ownership.Duplicate:
		return Result{Outcome: Duplicate}
	case ownership.Inapplicable:
		return Result{Outcome: Inapplicable}
	case ownership.Gone:
		return Result{Outcome: Gone}
	case ownership.Conflict:
		return Refuse(&events.Refusal{Reason: events.Conflict, Detail: o.Detail})
	case ownership.HistoryFull:
		return Refuse(&events.Refusal{Reason: events.HistoryFull, Detail: o.Detail})
	case ownership.Failed:
		if errors.Is(o.Err, registry.ErrInvalid) {
			// Decoding should have refused it; retrying would go on for ever.
			return Refuse(&events.Refusal{Reason: events.Schema, Detail: o.Err.Error()})
		}
		var panicked *ownership.PanicError
		if errors.As(o.Err, &panicked) {
			return Refuse(&events.Refusal{Reason: events.Panic, Detail: panicked.Error()})
		}
		if o.Err == nil {
			return Retry(fmt.Errorf("%w: the store gave no reason", registry.ErrUnavailable))
		}
		return Retry(o.Err)
	default:
		return Retry(fmt.Errorf("%w: the store answered with outcome %q", registry.ErrUnavailable, o.Kind))
	}
}
