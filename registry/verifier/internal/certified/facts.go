package certified

import "github.com/northstar-engines/realtime-registry/internal/ownership"

// facts are the known history of one resource.
type facts struct {
	ownership.Brief
	history  ownership.History // if the brief does not suffice; else nil
	position int64             // of the ledger that was read with it
}

// factsOf returns what to keep of a history: its brief, unless only the history can
// name the owner. That is so for a resource that a tenant has claimed after
// everything it owned had moved away.
func factsOf(history ownership.History, l *ownership.Ledger) facts {
	if brief, ok := history.Brief(); ok {
		if _, told := brief.Owner(l); told || !history.Reliable(l) {
			return facts{Brief: brief, position: l.Position()}
		}
	}
	return facts{history: history, position: l.Position()}
}

// owner folds with a ledger. ok is false if the facts cannot be relied on with this
// ledger.
func (f *facts) owner(l *ownership.Ledger) (owner string, ok bool) {
	switch {
	case f.position > l.Position(): // read later than the ledger: the two may never have been true together
		return "", false
	case f.history == nil:
		return f.Brief.Owner(l)
	case !f.history.Reliable(l):
		return "", false
	}
	return f.history.Owner(l), true
}

// silent reports whether the owner by a ledger may change without a notice, because
// a creation may join the history (design §4, exemptions). The ledger is not older
// than the facts. Checks of such a resource are always read.
func (f *facts) silent(l *ownership.Ledger) bool {
	if f.position > l.Position() {
		return false
	}
	_, ok := f.owner(l)
	return !ok
}

// same reports whether the owner is known to be the same with both ledgers.
func (f *facts) same(from, to *ownership.Ledger) bool {
	before, ok := f.owner(from)
	after, ok2 := f.owner(to)
	return ok && ok2 && before == after
}

// agree reports whether two reads of one resource name the same owner.
func (f *facts) agree(g *facts, l *ownership.Ledger) bool {
	before, ok := f.owner(l)
	after, ok2 := g.owner(l)
	if ok && ok2 {
		return before == after
	}
	return f.Tenant == g.Tenant && f.history.Equal(g.history)
}
