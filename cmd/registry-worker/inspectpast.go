package main

import (
	"context"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// past is the fold of a history with the ledger as it was at a time. What is in
// memory of a ledger does not say when a move was committed, or retracted. So the
// entries of those moves that the fold meets are read, and of no others: there may
// be a million.
type past struct {
	at      time.Time
	history ownership.History // what has a time up to then
	ledger  *ownership.Ledger // as it was, as far as is known yet
	// retracted are the moves that may have counted then, by the tenant that they
	// are away from: those that were not asked for yet.
	retracted map[string][]ownership.EventName
	asked     map[ownership.EventName]bool
	met       map[ownership.EventName]ownership.LedgerEntry // as they are stored
	steps     []ownership.Step
}

func newPast(at time.Time, h ownership.History, l *ownership.Ledger) *past {
	p := &past{
		at: at, ledger: l,
		retracted: map[string][]ownership.EventName{},
		asked:     map[ownership.EventName]bool{}, met: map[ownership.EventName]ownership.LedgerEntry{},
	}
	for _, e := range h {
		if !e.Time.After(at) {
			p.history = append(p.history, e)
		}
	}
	for m := range l.Moves() {
		if m.Retracted && !m.RetractionOnly && !m.Time.After(at) {
			p.retracted[m.From] = append(p.retracted[m.From], m.EventName())
		}
	}
	return p
}

// settle folds, and reads the moves that the fold meets, until it meets no others.
// Errors are those of the store, and of what this version does not understand.
func (p *past) settle(ctx context.Context, moves ownership.LedgerReader) error {
	for {
		p.fold()
		names := p.unknown()
		if len(names) == 0 {
			return p.stopped()
		}
		entries, err := moves.MovesNamed(ctx, names)
		if err != nil {
			return err
		}
		var then []ownership.LedgerEntry
		for _, e := range entries {
			if e.Unread != nil {
				return e.Unread
			}
			p.met[e.EventName()] = e
			then = append(then, p.asOfThen(e))
		}
		p.ledger = p.ledger.With(p.ledger.Position(), then)
	}
}

// fold finds the steps up to the time. A fold goes in the order of versions, so what
// is later comes last.
func (p *past) fold() {
	p.steps = p.history.Explain(p.ledger)
	if i := slices.IndexFunc(p.steps, func(s ownership.Step) bool { return s.Ledger && s.Time.After(p.at) }); i >= 0 {
		p.steps = p.steps[:i]
	}
}

// unknown returns the moves that the fold has met, or that may have counted for one
// of its owners, and that were not asked for yet.
func (p *past) unknown() (names []ownership.EventName) {
	for _, s := range p.steps {
		if s.Ledger {
			names = append(names, s.Version.EventName())
		}
	}
	for owner := range p.owners() {
		names = append(names, p.retracted[owner]...)
		delete(p.retracted, owner)
	}
	names = slices.DeleteFunc(names, func(n ownership.EventName) bool { return p.asked[n] })
	for _, n := range names {
		p.asked[n] = true
	}
	return names
}

// owners are the tenants that the fold passes through.
func (p *past) owners() map[string]bool {
	all := map[string]bool{}
	for i, s := range p.steps {
		all[s.Owner] = true
		if i == 0 && s.Type == ownership.Moved { // a history may begin with one
			all[s.From] = true
		}
	}
	return all
}

// asOfThen is what the ledger had of an entry.
func (p *past) asOfThen(e ownership.LedgerEntry) ownership.LedgerEntry {
	switch {
	case e.RetractionOnly, e.Retracted() && !e.Retractions[0].At.After(p.at): // taken back by then
	case p.late(e):
		e.Retractions = []ownership.Said{{}} // it does not count
	default:
		e.Retractions = nil
	}
	return e
}

// late reports whether an entry that counts now came, or was changed, after the
// time. Of one that was retracted since that is not known.
func (p *past) late(e ownership.LedgerEntry) bool { return !e.Retracted() && e.ChangedAt.After(p.at) }

// leftOut returns the moves that came too late, and may concern the resource, in
// the order of versions.
func (p *past) leftOut() (all []ownership.LedgerEntry) {
	owners := p.owners()
	for _, e := range p.met {
		if p.late(e) && !e.Time.After(p.at) && owners[e.From] {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b ownership.LedgerEntry) int { return a.Version.Compare(b.Version) })
	return all
}

// stopped returns why the fold cannot be told, if an entry of the ledger that is not
// understood may concern one of its owners.
func (p *past) stopped() error {
	owners := p.owners()
	for _, e := range p.ledger.Unread() {
		if e.From == "" || owners[e.From] {
			return e.Unread
		}
	}
	return nil
}
