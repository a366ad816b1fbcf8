package ownership

import (
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// ClaimSource is the source of every claim.
const ClaimSource = "registry"

// ClaimedEvent returns the event that the options of a claim name: that of the last
// one. It is zero if there are none.
func ClaimedEvent(options []registry.ClaimOption) (event EventName) {
	for _, o := range options {
		event = EventName{Source: o.EventSource, ID: o.EventID}
	}
	return event
}

// ClaimEntry is the claimed entry of a claim (design §4): source "registry", id
// "{kind}__{id}__{tenant}", at the store's time.
func ClaimEntry(tenantID string, resource registry.Resource, at time.Time) Entry {
	return Entry{
		Type:    Claimed,
		Tenant:  tenantID,
		Version: Version{Time: at.UTC(), Source: ClaimSource, ID: resource.DocumentID() + "__" + tenantID},
	}
}

// ConflictError is the ErrConflict of a claim: another tenant owns the resource, or
// would from the first, or the resource was deleted. Its text does not name the owner, which must not reach the
// claiming tenant.
type ConflictError struct {
	Owner string // for logs; the owner now, or the one to which a waiting move gives it; "" if the resource was deleted
}

func (e *ConflictError) Error() string { return registry.ErrConflict.Error() }

// Unwrap makes it ErrConflict.
func (e *ConflictError) Unwrap() error { return registry.ErrConflict }

// Claim decides a claim at the store's time, a ClaimEntry, by the ledger, which
// must be of the same time as the record. It returns an update to commit if the
// tenant becomes the owner by it; no update if the tenant is the owner already; the
// error of Unfoldable if that cannot be known; and a *ConflictError in any other
// case. Moves alone do not stand in a claim's way, but a move that waits for the
// resource does: the claim must win by the fold with it. It is pure.
func (r Record) Claim(claim Entry, l *Ledger) (u Update, created bool, err error) {
	owner, err := r.Owner(l)
	if err != nil {
		return Update{}, false, err
	}
	if _, erased := l.Pseudonym(claim.Tenant); erased {
		return Update{}, false, &ConflictError{owner}
	}
	if owner == claim.Tenant {
		return Update{}, false, nil
	}
	if r.History.registered() {
		return Update{}, false, &ConflictError{owner}
	}
	u = r.Update([]Entry{claim}, l)
	if o := u.Outcomes[0]; o.Kind == Failed {
		return Update{}, false, o.Err
	}
	if u.TenantID != claim.Tenant {
		return Update{}, false, &ConflictError{u.TenantID}
	}
	return u, true, nil
}

// HoldsClaim reports whether the history holds one of these claims, whose answers
// were lost: then that claim was stored.
func (h History) HoldsClaim(claims []Entry) bool { return slices.ContainsFunc(claims, h.holds) }

func (h History) holds(e Entry) bool {
	_, ok := slices.BinarySearchFunc(h, e, Entry.compare)
	return ok
}
