package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// moveFilter says which moves are asked for, and how many. The latest change comes
// first; but moves whose rewriting is pending are in the order of the rewriting.
type moveFilter struct {
	tenant        string    // "": any
	state         string    // of config; "": any
	since, before time.Time // of the event; zero: unbounded
	behind        int64     // position of the move before the first one; 0: none
	limit         int       // 0: none
}

func (in *invocation) moveFilter() moveFilter {
	c := in.Config
	return moveFilter{c.Tenant, c.State, c.Since, c.Before, int64(c.Behind), c.Limit}
}

// all reports whether every move of a state is asked for; of "", every move.
func (f moveFilter) all(state string) bool { return f == moveFilter{limit: f.limit, state: state} }

// movePage is one page of a list.
type movePage struct {
	moves []ownership.LedgerEntry
	next  int64 // --behind of the next page; 0: there is none
}

// placedMove is an entry with its position when the list began, by which it is sorted.
type placedMove struct {
	ownership.LedgerEntry
	place int64
}

// moveSource returns the next moves of a list, about n of them, and reports whether
// there may be more.
type moveSource func(ctx context.Context, n int) (moves []placedMove, more bool, err error)

// readTogether is how many moves are read at once if they must be read to know
// which of them are wanted.
const readTogether = 100

// page reads a page. It reads no other moves, unless they must be read to know
// whether they are wanted.
func (f moveFilter) page(ctx context.Context, store registryStore) (movePage, error) {
	next, err := f.source(ctx, store)
	var page movePage
	for more := err == nil; more; {
		n := f.limit - len(page.moves)
		if f.limit == 0 || f.readsToKnow() {
			n = max(n, readTogether)
		}
		var moves []placedMove
		if moves, more, err = next(ctx, n); err != nil {
			break
		}
		for i, m := range moves {
			if !f.wants(m.LedgerEntry) {
				continue
			}
			page.moves = append(page.moves, m.LedgerEntry)
			if len(page.moves) == f.limit {
				if more || i < len(moves)-1 {
					page.next = m.place
				}
				return page, nil
			}
		}
	}
	return page, err
}

// source returns the source of a list's moves. A query finds jobs. This process
// knows who moved what, and what is retracted.
func (f moveFilter) source(ctx context.Context, store registryStore) (moveSource, error) {
	switch {
	case f.tenant != "":
	case f.state == config.MovePending:
		return jobSource(store.PendingMoves, f.behind), nil
	case f.state == config.MoveParked:
		return jobSource(store.ParkedMoves, f.behind), nil
	}
	now, err := store.Read(ctx, nil)
	if err != nil {
		return nil, err
	}
	return namedSource(store, f.known(now.Ledger)), nil
}

func jobSource(read func(ctx context.Context, from int64, limit int) ([]ownership.LedgerEntry, error), from int64) moveSource {
	return func(ctx context.Context, n int) (moves []placedMove, more bool, err error) {
		entries, err := read(ctx, from, n)
		for _, e := range entries {
			moves, from = append(moves, placedMove{e, e.Position}), e.Position
		}
		return moves, len(entries) == n, err
	}
}

// knownMove is what is known of a move that has not been read yet. There may be a
// million.
type knownMove struct {
	name   ownership.EventName
	place  int64
	unread *ownership.LedgerEntry // the entry as read with the ledger, if it is not understood
}

// namedSource reads moves by their names.
func namedSource(store ownership.LedgerReader, known []knownMove) moveSource {
	return func(ctx context.Context, n int) (moves []placedMove, more bool, err error) {
		part := known[:min(n, len(known))]
		known = known[len(part):]
		var names []ownership.EventName
		for _, m := range part {
			if m.unread == nil {
				names = append(names, m.name)
			}
		}
		entries, err := store.MovesNamed(ctx, names)
		read := map[ownership.EventName]*ownership.LedgerEntry{}
		for i, e := range entries {
			read[e.EventName()] = &entries[i]
		}
		for _, m := range part {
			if e := cmp.Or(m.unread, read[m.name]); e != nil {
				moves = append(moves, placedMove{*e, m.place})
			}
		}
		return moves, len(known) > 0, err
	}
}

// known returns the moves that may be wanted, in order.
func (f moveFilter) known(l *ownership.Ledger) (found []knownMove) {
	order := func(a, b int64) int { return cmp.Compare(b, a) }
	if f.state == config.MovePending {
		order = cmp.Compare[int64]
	}
	add := func(m knownMove) {
		if f.behind == 0 || order(f.behind, m.place) < 0 {
			found = append(found, m)
		}
	}
	for m := range l.Moves() {
		if f.mayWant(m) {
			add(knownMove{name: m.EventName(), place: m.Position})
		}
	}
	for _, e := range l.Unread() {
		if f.state == "" && (f.tenant == "" || e.From == "" || f.tenant == e.From || f.tenant == e.To) {
			add(knownMove{e.EventName(), e.Position, &e})
		}
	}
	slices.SortFunc(found, func(a, b knownMove) int { return order(a.place, b.place) })
	return found
}

// mayWant reports whether a move is wanted, without regard to its job.
func (f moveFilter) mayWant(m ownership.Move) bool {
	switch {
	case f.tenant != "" && f.tenant != m.From && f.tenant != m.To,
		f.state == config.MoveRetracted && !m.Retracted,
		!f.since.IsZero() && (m.RetractionOnly || m.Time.Before(f.since)),
		!f.before.IsZero() && (m.RetractionOnly || !m.Time.Before(f.before)):
		return false
	}
	return true
}

// readsToKnow reports whether moves must be read to know whether they are wanted.
func (f moveFilter) readsToKnow() bool {
	bounded := !f.since.IsZero() || !f.before.IsZero()
	switch f.state {
	case config.MovePending, config.MoveParked:
		return f.tenant != "" || bounded
	}
	return f.state == config.MoveDone
}

// wants reports whether a move that was read is wanted. If it is not understood,
// nothing is known of its job.
func (f moveFilter) wants(m ownership.LedgerEntry) bool {
	if m.Unread != nil {
		return f.state == ""
	}
	switch r := m.Rewriting; f.state {
	case config.MovePending:
		return r.Pending() && !r.Parked() && f.mayWant(m.Move())
	case config.MoveParked:
		return r.Parked() && f.mayWant(m.Move())
	case config.MoveDone:
		return !r.Pending()
	}
	return true
}
