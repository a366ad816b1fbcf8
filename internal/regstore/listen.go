package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A Listen ends after so many entries, or so long, so that the next one asks for
// less: the result of its query grows with every change.
const (
	mostListened  = 500
	longestListen = 10 * time.Minute
)

var errListened = errors.New("listened for long enough")

// mostConnecting is how long a Listen may take until it tells of changes.
const mostConnecting = 30 * time.Second

var errNeverCurrent = errors.New("the service did not begin to tell")

// Listen implements ownership.Feed, on the feed from now on and on the ledger's
// head. Its query has no projection: the service refuses "'select' clauses are
// not supported for real-time queries"
// (https://github.com/googleapis/google-cloud-go/pull/1320), which the emulator
// does not.
func (s *Store) Listen(ctx context.Context, cursor *ownership.FeedCursor, heard func(position int64)) error {
	for {
		if err := s.listenOnce(ctx, cursor, heard); !errors.Is(err, errListened) {
			if errors.Is(err, registry.ErrUnavailable) {
				return fmt.Errorf("listen to the change feed: %w", err)
			}
			return unavailable("listen to the change feed", err)
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, cursor *ownership.FeedCursor, heard func(int64)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, longestListen, errListened)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	connecting := time.AfterFunc(mostConnecting, func() { end(errNeverCurrent) })
	defer connecting.Stop()
	start, err := s.readWithHead(ctx, nil) // for the database's time
	if err != nil {
		return err
	}
	l := listening{store: s, cursor: cursor, heard: heard, end: end, start: start.Ledger.Seq(), whole: func() { connecting.Stop() }}
	return s.db.Listen(ctx, []docdb.Target{
		{Query: feedSince(start.ReadTime, mostListened)}, {Document: s.headName()},
	}, func(e docdb.Event) { l.take(ctx, e) })
}

// listening is one Listen of the database.
type listening struct {
	store   *Store
	cursor  *ownership.FeedCursor
	heard   func(position int64)
	end     context.CancelCauseFunc
	whole   func() // when all there was has been told
	current bool
	start   int64 // the ledger's position when it began
	entries int   // that were told
}

// take passes one event on. What is told before it is whole for the first time, the
// query's first result, is from before the call.
func (l *listening) take(ctx context.Context, e docdb.Event) {
	switch {
	case e.Whole && !l.current:
		l.current = true
		l.whole()
		l.heard(l.start)
	case e.Document == nil:
	case e.Document.Name == l.store.headName():
		position, err := l.store.look(ctx, e.Document, e.Document.UpdateTime.AsTime())
		if err != nil {
			l.end(err)
			return
		}
		if position > 0 {
			l.heard(position)
		}
	default:
		l.cursor.Tell(l.store.feedEntry(ctx, e.Document, l.cursor)...)
		if l.entries++; l.entries == mostListened {
			l.end(errListened)
		}
	}
}
