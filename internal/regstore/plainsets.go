package regstore

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// fieldPlainSets is of the ledger's head: since when no program writes documents
// with plain sets, by the store's clock. Verifiers read it with each certificate,
// and use answers for longer (verifier.Options.MaxAge). If it is missing,
// or no time, plain sets go on. It is no reason for a process not to take part.
const fieldPlainSets = "plain_sets_over_since"

func plainSetsOver(head *docdb.Document) time.Time {
	at := head.GetFields()[fieldPlainSets].GetTimestampValue()
	if at == nil {
		return time.Time{}
	}
	return at.AsTime()
}

// plainSetsOverSince is what the latest read of the head said; zero: plain sets go
// on, as far as is known.
func (s *Store) plainSetsOverSince() time.Time {
	if state := s.head.Load(); state != nil {
		return state.plainSetsOver
	}
	return time.Time{}
}

// PlainSetsOver reads since when the registry says that no program writes
// documents with plain sets; zero if it does not say so. Errors wrap
// registry.ErrUnavailable.
func (s *Store) PlainSetsOver(ctx context.Context) (time.Time, error) {
	_, err := s.readWithHead(ctx, nil)
	return s.plainSetsOverSince(), err
}

// EndPlainSets says in the registry that no program writes documents with plain
// sets any more, or that some may again, and reports whether it said another thing
// before. Verifiers follow with their next certificate. A document that is written
// so all the same takes it back: see plainSet. Errors wrap registry.ErrUnavailable.
func (s *Store) EndPlainSets(ctx context.Context, over bool) (changed bool, err error) {
	if err := s.mayWrite(ctx); err != nil {
		return false, fmt.Errorf("plain sets: %w", err)
	}
	for range s.attempts(ctx) {
		var documents map[string]*docdb.Document
		var at time.Time
		if documents, at, err = s.get(ctx, []string{s.headName()}); err != nil {
			break
		}
		head := documents[s.headName()]
		if over != plainSetsOver(head).IsZero() {
			return changed, nil
		}
		w := docdb.Write{Name: s.headName(), Mask: []string{fieldPlainSets}, If: docdb.AsRead(head)}
		if over {
			w.Fields = map[string]*docdb.Value{fieldPlainSets: docdb.Timestamp(at)}
		}
		if _, err = s.commit(ctx, time.Now().Add(s.commitDeadline), w); err == nil {
			return true, nil
		}
		changed = changed || !docdb.LostTheRace(err) // the next read tells
	}
	return false, fmt.Errorf("plain sets: %w", err)
}

// LeavePlainSets has the store leave what the registry says of plain sets as it is,
// also if it meets a document that contradicts it: for commands that promise to write
// nothing. The log says so.
func (s *Store) LeavePlainSets() { s.dry.Store(true) }

// plainSet notices a document that was written with a plain set although the
// registry says that no program does. Other such documents may be kept in memory by
// verifiers for long: so what the registry says is taken back at once, and
// operators are told.
func (s *Store) plainSet(ctx context.Context, r ownership.Record) {
	over := s.plainSetsOverSince()
	if !r.Plain || over.IsZero() || !r.UpdateTime.After(over) {
		return
	}
	s.telemetry.plainSets.Add(ctx, 1)
	what := "it is taken back, and verifiers bound what they keep again"
	if s.dry.Load() {
		what = "this command writes nothing, so take it back with upgrade --plain-sets go-on"
	}
	s.telemetry.log.Write(ctx, "", slog.LevelError, "a program writes documents with plain sets, which the registry says is over: "+what,
		slog.String("document", r.Document), slog.Time("written", r.UpdateTime), slog.Time("over_since", over))
	if s.dry.Load() {
		return
	}
	if !s.takingBack.CompareAndSwap(false, true) {
		return
	}
	s.background.Go(func() {
		defer s.takingBack.Store(false)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.commitDeadline)
		defer cancel()
		if _, err := s.EndPlainSets(ctx, false); err != nil {
			s.logger.ErrorContext(ctx, "it could not be taken back that plain sets are over; the next such document tries again", "error", err)
			return
		}
		_, _ = s.readWithHead(ctx, nil) // so that this process knows it too
	})
}
