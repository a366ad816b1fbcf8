package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// fieldLogSince is of the ledger's head: since when claims, retractions and operators' moves are
// published to the registry's log, by the store's clock. If it is missing, or no
// time, there is no log, and nothing is put into the outbox. Every write rests on a
// read of the head, so all follow within LedgerStaleness and CommitDeadline.
const fieldLogSince = "log_since"

func logSince(head *docdb.Document) time.Time {
	return timestamp(head.GetFields()[fieldLogSince])
}

// logs reports whether the latest read of the head said that there is a log.
func (s *Store) logs() bool {
	state := s.head.Load()
	return state != nil && !state.logSince.IsZero()
}

// LogSince implements ownership.Outbox.
func (s *Store) LogSince(ctx context.Context) (time.Time, error) {
	if _, err := s.readWithHead(ctx, nil); err != nil {
		return time.Time{}, err
	}
	return s.head.Load().logSince, nil
}

// BeginLog implements ownership.Outbox.
func (s *Store) BeginLog(ctx context.Context) (since time.Time, began bool, err error) {
	if err := s.mayWrite(ctx); err != nil {
		return time.Time{}, false, fmt.Errorf("begin the log: %w", err)
	}
	for range s.attempts(ctx) {
		var documents map[string]*docdb.Document
		var at time.Time
		if documents, at, err = s.get(ctx, []string{s.headName()}); err != nil {
			break
		}
		head := documents[s.headName()]
		if since = logSince(head); !since.IsZero() {
			_, err := s.LogSince(ctx) // so that this process knows it too
			return since, began, err
		}
		w := docdb.Write{
			Name: s.headName(), Mask: []string{fieldLogSince}, If: docdb.AsRead(head),
			Fields: map[string]*docdb.Value{fieldLogSince: docdb.Timestamp(at)},
		}
		_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), w)
		began = began || !docdb.LostTheRace(err) // the next read tells
	}
	return time.Time{}, false, fmt.Errorf("begin the log: %w", err)
}
