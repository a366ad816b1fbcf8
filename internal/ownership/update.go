package ownership

import (
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/excerpt"
)

// Update is what a store must write so that a record takes account of entries.
type Update struct {
	Outcomes []Outcome // one per entry, in the order given; true once committed

	// Write says that the document must be written: history, owner or path
	// differ from what is stored. If it is false nothing needs to be done.
	Write bool
	// Feed says that a change feed entry must be part of the same commit,
	// because a cached history would be wrong from then on (design §4).
	Feed bool

	// What the document must hold. TenantID is the owner by the fold.
	TenantID       string
	History        History
	Path           []string
	Displaced      []Entry // what lost its place, for people to see; no part of the fold
	LedgerPosition int64
	Format         int64 // the least that a reader needs
}

// Update merges entries into the record and folds the result with the ledger,
// which must not be older than the record's LedgerPosition. With no entries it says
// what repairs the document. If the record cannot be folded (see Unfoldable)
// nothing is to be written, and all outcomes are Failed. It is pure: the caller
// commits what it says, with the record's update time as the precondition.
func (r Record) Update(entries []Entry, l *Ledger) Update {
	if err := r.Unfoldable(l); err != nil {
		return r.untouched(entries, err)
	}
	anonymous, entries, renamed := r.anonymous(entries, l)
	u := Update{
		Outcomes: make([]Outcome, len(entries)), History: anonymous.History, Displaced: anonymous.Displaced, LedgerPosition: l.Position(),
	}
	changed := make([]bool, len(entries))

	// In version order, so that of two creations in one batch the larger is the
	// conflict, not one that was acknowledged and then displaced.
	for _, i := range order(entries) {
		u.History, changed[i], u.Outcomes[i] = u.History.take(entries[i], l)
		if lost := u.Outcomes[i].Displaced; lost != nil {
			u.Displaced = displace(u.Displaced, *lost)
		}
	}
	if f := r.Forget; f != nil && l.same(u.History.Owner(l), f.Pseudonym) {
		u.History, _ = u.History.Merge(Entry{Type: Deleted, Version: Version{Time: f.At}})
	}
	if u.History.Deleted() {
		u.Displaced = nil // it names tenants
	}
	for i, e := range entries {
		if u.Outcomes[i].Kind == "" {
			u.Outcomes[i] = u.outcome(l, e, changed[i], u.Outcomes[i])
		}
	}

	historyChanged := r.Plain || renamed || !u.History.Equal(r.History)
	if err := l.Unfoldable(u.History); err != nil {
		return r.untouched(entries, err)
	}
	u.Path, u.Format = l.canonical(u.History.Path(l)), u.History.Format()
	if len(u.Path) > 0 {
		u.TenantID = u.Path[len(u.Path)-1]
	}
	u.Write = len(u.History) > 0 && (historyChanged || u.TenantID != r.TenantID || !slices.Equal(u.Path, r.Path))
	u.Feed = u.Write && r.Exists() && historyChanged && !onlyCreation(r.History, u.History)
	return u
}

// untouched is the update that changes nothing, since err stands in the way.
func (r Record) untouched(entries []Entry, err error) Update {
	u := Update{
		Outcomes: make([]Outcome, len(entries)), Displaced: r.Displaced,
		TenantID: r.TenantID, History: r.History, Path: r.Path, LedgerPosition: r.LedgerPosition, Format: r.Format,
	}
	for i := range u.Outcomes {
		u.Outcomes[i] = Outcome{Kind: Failed, Err: err}
	}
	return u
}

// outcome completes the outcome of an entry that was not refused.
func (u Update) outcome(l *Ledger, e Entry, changed bool, o Outcome) Outcome {
	switch {
	case e.Type != Deleted && u.History.Deleted():
		return Outcome{Kind: Gone}
	case !changed:
		o.Kind = Duplicate
		if u.History.holds(e) { // perhaps it is our own, whose answer was lost
			o.Displaced = displacedBy(u.Displaced, e)
		}
	case e.Type == Moved && !u.History.effective(l, e):
		o.Kind = Inapplicable
	default:
		o.Kind = Applied
	}
	if e.Type == Created && u.History.base().Equal(e) {
		o.BornMoved = u.History.bornMoved(l)
	}
	return o
}

// bornMoved returns the move of a whole tenant if that is the first step after the
// creation; nil if it is any other step, or there is none.
func (h History) bornMoved(l *Ledger) *Move {
	f := newFold(h, l)
	if step, ok := f.next(); ok && step.Ledger {
		move := l.next(step.From, step.Version, false).unpacked()
		return &move
	}
	return nil
}

// Exists reports whether there is a document.
func (r Record) Exists() bool { return !r.UpdateTime.IsZero() }

// order returns the indexes of entries in the order in which they are taken.
func order(entries []Entry) []int {
	indexes := make([]int, len(entries))
	for i := range indexes {
		indexes[i] = i
	}
	if len(entries) > 1 {
		slices.SortStableFunc(indexes, func(i, j int) int {
			a, b := entries[i], entries[j]
			if a.Type == Deleted || b.Type == Deleted {
				return deletionsFirst(a, b)
			}
			if a.registers() != b.registers() {
				// Entries that register the resource go first: whether a move
				// counts depends on them.
				if a.registers() {
					return -1
				}
				return 1
			}
			return a.compare(b)
		})
	}
	return indexes
}

// deletionsFirst compares two entries of which one is a deletion, or both: what
// would be a conflict, had the deletion not come in the same batch, is none.
func deletionsFirst(a, b Entry) int {
	if a.Type == b.Type {
		return a.compare(b)
	}
	if a.Type == Deleted {
		return -1
	}
	return 1
}

// take merges e unless it is refused, in which case the outcome has a kind.
func (h History) take(e Entry, l *Ledger) (History, bool, Outcome) {
	merged, changed := h.Merge(e)
	rival, ok := h.rival(merged, e)
	switch {
	case ok && !changed:
		return h, false, Outcome{Kind: Conflict, Detail: conflictDetail(rival, e)}
	case !changed:
		return h, false, Outcome{}
	}
	if refused, fits := merged.room(h, e, l); !fits {
		return h, false, refused
	}
	if ok {
		return merged, true, Outcome{Displaced: &rival}
	}
	return merged, true, Outcome{}
}

// rival returns the entry of h that e contradicts: a move under the same name with
// other tenants, or a claim or creation that names another tenant as the first
// owner. merged holds the smaller of the two.
func (h History) rival(merged History, e Entry) (rival Entry, ok bool) {
	switch e.Type {
	case Moved:
		rival, ok = h.named(e)
	case Claimed, Created:
		if rival, ok = h.Claimed(); !ok {
			rival, ok = h.Created()
		}
	}
	return rival, ok && !rival.sameTenants(e)
}

func conflictDetail(base, e Entry) string {
	switch {
	case base.Type == e.Type && base.SameEvent(e.Version):
		return twice(base, e)
	case base.Type == Claimed:
		return fmt.Sprintf("tenant_id: %s cannot have what %s claimed at %s", e.Tenant, base.Tenant, base.Time.Format(timeFormat))
	}
	return fmt.Sprintf("tenant_id: %s cannot create what %s created at %s (event %s of %s)",
		e.Tenant, base.Tenant, base.Time.Format(timeFormat), excerpt.Quote(base.ID), excerpt.Quote(base.Source))
}

// onlyCreation reports whether the one change is that a creation joined creations
// and assertions of the same tenant. It is the only change of an existing history
// that needs no notice. It may lower the start, though, which is what Reliable is
// for. A claim that joins needs a notice: it may raise the start, and a
// history that was reliable would be wrong for ever.
func onlyCreation(before, after History) bool {
	t, ok := before.soleTenant()
	u, ok2 := after.soleTenant()
	return ok && ok2 && t == u && before.withoutCreated().Equal(after.withoutCreated())
}

func (h History) withoutCreated() History {
	return slices.DeleteFunc(slices.Clone(h), func(e Entry) bool { return e.Type == Created })
}

// soleTenant is the tenant of a history that holds claims, creations and
// assertions of one tenant alone.
func (h History) soleTenant() (string, bool) {
	if len(h) == 0 {
		return "", false
	}
	for _, e := range h {
		if e.Type == Moved || e.Type == Deleted || e.Tenant != h[0].Tenant {
			return "", false
		}
	}
	return h[0].Tenant, true
}

// Reliable reports whether the owner by a history that was read some time ago still
// holds, whatever has joined the history since without a notice. Only a creation
// can join so, by the same tenant and with a smaller version (onlyCreation), and
// only if all entries are creations and assertions of that tenant. It moves the
// start back. Then a move away from the tenant may count whose version is up to the
// start that we know: if there is one, the history has to be read again. Reliable is
// also false if the ledger has an entry in the way that is not understood.
func (h History) Reliable(l *Ledger) bool {
	if l.Unfoldable(h) != nil {
		return false
	}
	tenant, sole := h.soleTenant()
	if _, claimed := h.Claimed(); !sole || claimed {
		return true
	}
	first := l.first(tenant)
	return first == nil || first.version().Compare(h.start()) > 0
}
