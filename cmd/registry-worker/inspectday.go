package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// during is who owned a resource from a time to another one.
type during struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Owner string    `json:"owner"` // "" if it was not registered
}

// ownersDuring returns who owned the resource from a time on, one after the other,
// until another time. Errors are those of ownerAt.
func ownersDuring(ctx context.Context, store ownership.Store, moves ownership.LedgerReader, resource registry.Resource, from, to time.Time) (*then, error) {
	snapshot, err := store.Read(ctx, []registry.Resource{resource})
	if err != nil {
		return nil, err
	}
	s := span{from: from, to: to, record: snapshot.Records[0], ledger: snapshot.Ledger, known: map[int64]bool{}, owners: map[string]bool{}}
	return s.fold(ctx, moves)
}

// span is the time between two, and the moments in it at which something may have
// begun or ceased to count for a resource. One that is found may lead to others: a move
// to a tenant makes the moves of that tenant matter.
type span struct {
	from, to time.Time
	record   ownership.Record
	ledger   *ownership.Ledger
	next     []time.Time    // moments that were not looked at yet
	known    map[int64]bool // all moments, in nanoseconds
	owners   map[string]bool
}

func (s *span) add(moments ...time.Time) {
	for _, at := range moments {
		if !at.Before(s.from) && at.Before(s.to) && !s.known[at.UnixNano()] {
			s.known[at.UnixNano()] = true
			s.next = append(s.next, at)
		}
	}
}

func (s *span) fold(ctx context.Context, moves ownership.LedgerReader) (*then, error) {
	s.add(s.from)
	for _, e := range s.record.History {
		s.add(e.Time)
	}
	var all []*then
	for len(s.next) > 0 {
		at := s.next[0]
		s.next = s.next[1:]
		t, p, err := foldAt(ctx, moves, s.record, s.ledger, at)
		if err != nil {
			return nil, err
		}
		s.follow(p)
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *then) int { return a.At.Compare(b.At) })
	t := all[0]
	t.During = []during{{s.from, s.to, t.Owner}}
	for _, next := range all[1:] {
		t.merge(next)
		if last := &t.During[len(t.During)-1]; next.Owner != last.Owner {
			last.To = next.At
			t.During = append(t.During, during{next.At, s.to, next.Owner})
		}
	}
	return t, nil
}

// follow adds the moments of the moves that a fold has met, and of those of its owners.
func (s *span) follow(p *past) {
	for _, e := range p.met {
		s.add(e.Time, e.ChangedAt)
		for _, r := range e.Retractions {
			s.add(r.At)
		}
	}
	for owner := range p.owners() {
		if s.owners[owner] {
			continue
		}
		s.owners[owner] = true
		for m := range s.ledger.Moves() {
			if m.From == owner && !m.RetractionOnly {
				s.add(m.Time)
			}
		}
	}
}

// merge adds what is known at another moment of moves retracted since, and of what is
// not certain.
func (t *then) merge(other *then) {
	for _, r := range other.Retracted {
		if !slices.Contains(t.Retracted, r) {
			t.Retracted = append(t.Retracted, r)
		}
	}
	for _, text := range other.Unsure {
		if !slices.Contains(t.Unsure, text) {
			t.Unsure = append(t.Unsure, text)
		}
	}
}

// printDay prints who owned the resource in the course of the day.
func (t *then) printDay(out io.Writer, resource registry.Resource) error {
	fmt.Fprintf(out, "on %s (UTC), %s:\n", t.At.Format(time.DateOnly), resource)
	table := terminal.NewTable(out, "FROM", "TO", "OWNER")
	for _, d := range t.During {
		owner := d.Owner
		if owner == "" {
			owner = "(not registered)"
		}
		table.Row(d.From.UTC().Format(time.RFC3339Nano), d.To.UTC().Format(time.RFC3339Nano), owner)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return t.printNotes(out)
}
