package ownership

import "time"

// A Brief summarizes a history of claims, creations and assertions by one tenant
// alone, as most are. It is small enough to keep a million of them.
type Brief struct {
	Tenant string
	Last   int64 // time of the latest entry, Unix nanoseconds
}

// The years whose times are Unix nanoseconds in 64 bits.
const firstBriefYear, lastBriefYear = 1678, 2261

// Brief returns the history's brief; ok is false if it has none.
func (h History) Brief() (b Brief, ok bool) {
	tenant, sole := h.soleTenant()
	if !sole {
		return Brief{}, false
	}
	last := h[len(h)-1].Time
	if year := last.UTC().Year(); year < firstBriefYear || year > lastBriefYear {
		return Brief{}, false
	}
	return Brief{Tenant: tenant, Last: last.UnixNano()}, true
}

// Owner returns the owner by the fold of the brief's history. ok is false if a move
// of everything that the tenant had is not later than the latest entry: then the
// answer needs the full history, or cannot rest even on that (see
// History.Reliable). It is also false if an entry of the ledger that is not
// understood stands in the way. It does not allocate.
func (b Brief) Owner(l *Ledger) (owner string, ok bool) {
	if l == nil {
		return b.Tenant, true
	}
	if l.stopped(b.Tenant) != nil {
		return "", false
	}
	at := l.first(b.Tenant)
	if at == nil {
		return b.Tenant, true
	}
	if !at.time().After(time.Unix(0, b.Last)) {
		return "", false
	}
	for {
		if l.stopped(at.toTenant()) != nil {
			return "", false
		}
		next := l.next(at.toTenant(), at.version(), true)
		if next == nil {
			return at.toTenant(), true
		}
		at = next
	}
}
