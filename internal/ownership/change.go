package ownership

import (
	"fmt"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Change is one event's effect on one resource, or on the ledger.
type Change struct {
	// Resource is what the entry goes to; the zero Resource is the ledger, which
	// takes moves of whole tenants and their retractions, and nothing else.
	Resource registry.Resource
	Entry    Entry
	// ToLog says that no topic has the move, since an operator made it here: the commit
	// that stores it puts it into the outbox. Claims (Store.Claim) and retractions are
	// put there always.
	ToLog bool
}

// Retraction takes back the move of a whole tenant that has the source and the id
// of v: folds no longer take account of it, so that what was before is back,
// exactly (design §4). v.Time is when it was taken back, zero for the store's time;
// by is who did it, as the operator gave it, and reason why; both may be empty.
func Retraction(v Version, by, reason string) Change {
	return Change{Entry: Entry{Type: Retracted, Version: v, Actor: by, Reason: reason}}
}

// OfLedger reports whether the change goes to the ledger.
func (c Change) OfLedger() bool { return c.Resource == (registry.Resource{}) }

// Validate returns an error that wraps ErrInvalid unless the entry's type belongs
// where the change goes, the resource is valid, and the texts of a retraction that
// is made now are (ValidateBy, ValidateNote). A retraction with a time of its own
// is from an archive, and its texts are kept unchanged: the schema of archives
// bounds them, and programs quote them when they print them.
func (c Change) Validate() error {
	switch e := c.Entry; {
	case c.ToLog && e.Type != Moved:
		return fmt.Errorf("%w: %q is no move, and cannot be put into the outbox", registry.ErrInvalid, e.Type)
	case !c.OfLedger() && e.Type == Retracted:
		return fmt.Errorf("%w: %s: what names a resource cannot be retracted", registry.ErrInvalid, c.Resource)
	case !c.OfLedger():
		return c.Resource.Validate()
	case e.Type == Retracted && e.Time.IsZero():
		return validateSaid(e.Actor, e.Reason)
	case e.Type != Moved && e.Type != Retracted:
		return fmt.Errorf("%w: %q names no resource, and is no move of a whole tenant", registry.ErrInvalid, e.Type)
	}
	return nil
}

func validateSaid(by, why string) error {
	if by != "" {
		if err := ValidateBy(by); err != nil {
			return err
		}
	}
	return ValidateNote(why)
}

// OutcomeKind says what became of a change.
type OutcomeKind string

// The outcomes. All but Failed are final: the same change again ends in one of
// them too.
const (
	Applied      OutcomeKind = "applied"      // committed
	Duplicate    OutcomeKind = "duplicate"    // the registry has it already
	Inapplicable OutcomeKind = "inapplicable" // committed; a move from a tenant that is not the owner
	Gone         OutcomeKind = "gone"         // the resource was deleted, so nothing changes; not committed
	Conflict     OutcomeKind = "conflict"     // another tenant was first, or the name is known with another content; not committed
	HistoryFull  OutcomeKind = "history_full" // the resource has MaxMoves moves, or MaxIdleMoves without effect, or the move MaxRetractions; not committed
	Failed       OutcomeKind = "failed"       // not known to be committed; Err says why; repeating is harmless
)

// Outcome is what became of one change.
type Outcome struct {
	Kind   OutcomeKind
	Detail string // Conflict, HistoryFull: what stands in the way; Duplicate of a retraction: who was first
	Err    error  // Failed only; wraps ErrUnavailable, ErrInvalid or a *PanicError
	// Displaced is an entry, acknowledged earlier, that lost its place to this
	// one: a move under the same name, or the creation by another tenant. It is
	// news if the kind is Applied or Inapplicable, and nil for none.
	Displaced *Entry
	// BornMoved is the move of a whole tenant that is the first thing which
	// happened to what this change created; nil for none.
	BornMoved *Move
	// WouldCount says that a move was refused as HistoryFull although it would
	// have changed the owner.
	WouldCount bool
}
