package registry

import "time"

// Brief is what there is to know of a history of creations and assertions by one
// tenant alone, which most are: little enough to keep a million of them.
type Brief struct {
	Tenant string
	Start  int64 // time of the version after which moves of whole tenants count, Unix nanoseconds
}

// The years whose times are Unix nanoseconds in 64 bits.
const firstBriefYear, lastBriefYear = 1678, 2261

// Brief returns the history's brief; ok is false where it has none.
func (h History) Brief() (b Brief, ok bool) {
	tenant, sole := h.soleTenant()
	if !sole {
		return Brief{}, false
	}
	start := h.start().Time
	if year := start.UTC().Year(); year < firstBriefYear || year > lastBriefYear {
		return Brief{}, false
	}
	return Brief{Tenant: tenant, Start: start.UnixNano()}, true
}

// Owner is the owner by the fold of the history that the brief was made of. It
// is not ok where the brief may not be relied on: where History.Settled is
// false, and where telling takes more of the version than its time. It does not
// allocate.
func (b Brief) Owner(l *Ledger) (owner string, ok bool) {
	if l == nil {
		return b.Tenant, true
	}
	moves := l.byFrom[b.Tenant]
	if len(moves) == 0 {
		return b.Tenant, true
	}
	if !moves[0].Time.After(time.Unix(0, b.Start)) {
		return "", false
	}
	at := moves[0]
	for {
		next, moved := l.next(at.To, at.Version, true)
		if !moved {
			return at.To, true
		}
		at = next
	}
}
