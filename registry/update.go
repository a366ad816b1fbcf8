package registry

import (
	"fmt"
	"slices"
)

// MaxHistoryBytes bounds the text of a history, so that a document stays well
// under Firestore's 1 MiB: 1,000 moves with long sources and ids would not.
const MaxHistoryBytes = 700 << 10

// Update is what a store must write so that a record takes account of entries.
type Update struct {
	Outcomes []Outcome // one per entry, in the order given; true once committed

	// Write says that the document must be written: history, owner or path
	// differ from what is stored. Where it is false nothing needs to be done.
	Write bool
	// Feed says that a change feed entry must be part of the same commit,
	// because a cached history would be wrong from then on (design §4).
	Feed bool

	// What the document must hold. TenantID is the owner by the fold.
	TenantID  string
	History   History
	Path      []string
	LedgerSeq int64
}

// Update merges entries into the record and folds the result with the ledger,
// which must not be older than the record's LedgerSeq. With no entries it says
// what repairs the document. It is pure: the caller commits what it says, with
// the record's update time as the precondition.
func (r Record) Update(entries []Entry, l *Ledger) Update {
	u := Update{Outcomes: make([]Outcome, len(entries)), History: r.History, LedgerSeq: l.Seq()}
	changed := make([]bool, len(entries))

	// In version order, so that of two creations in one batch the larger is the
	// conflict, not one that was acknowledged and then displaced.
	for _, i := range order(entries) {
		u.History, changed[i], u.Outcomes[i] = u.History.take(entries[i])
	}
	for i, e := range entries {
		if u.Outcomes[i].Kind == "" {
			u.Outcomes[i].Kind = u.History.outcome(l, e, changed[i])
		}
	}

	historyChanged := r.Plain || !u.History.Equal(r.History)
	u.TenantID, u.Path = u.History.Owner(l), u.History.Path(l)
	u.Write = len(u.History) > 0 && (historyChanged || u.TenantID != r.TenantID || !slices.Equal(u.Path, r.Path))
	u.Feed = u.Write && r.Exists() && historyChanged && !onlyCreation(r.History, u.History)
	return u
}

// Exists tells whether there is a document.
func (r Record) Exists() bool { return !r.UpdateTime.IsZero() }

func order(entries []Entry) []int {
	indexes := make([]int, len(entries))
	for i := range indexes {
		indexes[i] = i
	}
	if len(entries) > 1 {
		slices.SortStableFunc(indexes, func(i, j int) int { return entries[i].compare(entries[j]) })
	}
	return indexes
}

// take merges e unless it is refused, in which case the outcome has a kind.
func (h History) take(e Entry) (History, bool, Outcome) {
	merged, changed := h.Merge(e)
	if e.Type == Created {
		if base := merged.base(); base.Tenant != e.Tenant {
			return h, false, Outcome{Kind: Conflict, Detail: conflictDetail(base, e)}
		}
		before, ok := h.Created()
		if ok && before.Tenant != e.Tenant {
			return merged, changed, Outcome{Displaced: before.Tenant}
		}
	}
	if changed && merged.Full() {
		return h, false, Outcome{Kind: HistoryFull, Detail: fmt.Sprintf(
			"the history holds %d entries already: no more than %d moves and %d KiB are kept", len(h), MaxMoves, MaxHistoryBytes>>10)}
	}
	return merged, changed, Outcome{}
}

func conflictDetail(base, e Entry) string {
	if base.SameEvent(e.Version) {
		return fmt.Sprintf("event %s of %s came twice with different content: tenant_id was %s, now %s",
			quote(e.ID), quote(e.Source), base.Tenant, e.Tenant)
	}
	return fmt.Sprintf("tenant_id: %s cannot create what %s created at %s (event %s of %s)",
		e.Tenant, base.Tenant, base.Time.Format(timeFormat), quote(base.ID), quote(base.Source))
}

func (h History) outcome(l *Ledger, e Entry, changed bool) OutcomeKind {
	switch {
	case !changed:
		return Duplicate
	case e.Type == Moved && !h.effective(l, e):
		return Inapplicable
	}
	return Applied
}

// onlyCreation tells whether all that happened is that a creation joined
// creations and assertions of the same tenant alone: the one change of an
// existing history that no reader needs to hear of. It may lower the start,
// though, which is what Settled is for.
func onlyCreation(before, after History) bool {
	t, ok := before.soleTenant()
	u, ok2 := after.soleTenant()
	return ok && ok2 && t == u && before.withoutCreated().Equal(after.withoutCreated())
}

func (h History) withoutCreated() History {
	return slices.DeleteFunc(slices.Clone(h), func(e Entry) bool { return e.Type == Created })
}

// soleTenant is the tenant of a history that holds creations and assertions of
// one tenant alone.
func (h History) soleTenant() (string, bool) {
	if len(h) == 0 {
		return "", false
	}
	for _, e := range h {
		if e.Type == Moved || e.Tenant != h[0].Tenant {
			return "", false
		}
	}
	return h[0].Tenant, true
}

// Settled tells whether the owner by a history that was read some time ago can
// be relied on although a creation by the same tenant, with a smaller version,
// may have joined it since without a notice. Such a creation moves the start
// back, so a move away from that tenant with a version up to the start that we
// know of may count by now: then the answer is to be read again. Histories with
// other entries never change without a notice.
func (h History) Settled(l *Ledger) bool {
	tenant, sole := h.soleTenant()
	if !sole {
		return true
	}
	first, ok := l.next(tenant, Version{}, false)
	return !ok || first.Version.Compare(h.start()) > 0
}
