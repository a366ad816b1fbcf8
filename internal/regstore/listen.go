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

// A Listen of the database ends after so long, after so many entries, or after some
// if it has lasted for a while, so that the next one asks for less: the result of
// its query grows with every change.
const (
	longestListen  = 10 * time.Minute
	mostListened   = 10_000
	enoughListened = 500
	worthListening = 10 * time.Second
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
	defer cursor.Hear(false)
	var last time.Time // of the entries that were told
	for {
		if err := s.listenOnce(ctx, cursor, &last, heard); !errors.Is(err, errListened) {
			if errors.Is(err, registry.ErrUnavailable) {
				return fmt.Errorf("listen to the change feed: %w", err)
			}
			return unavailable("listen to the change feed", err)
		}
	}
}

// listenOnce listens for a while, from last on, or from now on if that is zero.
func (s *Store) listenOnce(ctx context.Context, cursor *ownership.FeedCursor, last *time.Time, heard func(int64)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, longestListen, errListened)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	connecting := time.AfterFunc(mostConnecting, func() { end(errNeverCurrent) })
	defer connecting.Stop()
	start, err := s.readWithHead(ctx, nil) // for the database's time
	if err != nil {
		return err
	}
	from := later(start.ReadTime.Add(-longestListen), *last) // what came between two Listens is told too
	if last.IsZero() {
		from = start.ReadTime
	}
	targets := []docdb.Target{{Document: s.headName()}}
	for _, x := range s.feedIndexes(from) {
		query := x.query(ownership.Span{From: from})
		query.Limit = mostListened
		targets = append(targets, docdb.Target{Query: query})
	}
	l := listening{
		store: s, cursor: cursor, heard: heard, end: end, last: last, began: time.Now(),
		position: start.Ledger.Position(), layout: s.head.Load().layout, whole: func() { connecting.Stop() },
	}
	return s.db.Listen(ctx, targets, func(e docdb.Event) { l.take(ctx, e) })
}

// listening is one Listen of the database.
type listening struct {
	store    *Store
	cursor   *ownership.FeedCursor
	heard    func(position int64)
	end      context.CancelCauseFunc
	last     *time.Time // of the entries that were told
	whole    func()     // when all there was has been told
	current  bool
	began    time.Time
	position int64      // the ledger's when it began
	layout   feedLayout // when it began
	entries  int        // that were told
}

// take passes one event on. What is told before it is whole for the first time, the
// query's first result, is from before the call.
func (l *listening) take(ctx context.Context, e docdb.Event) {
	switch {
	case e.Whole && !l.current:
		l.current = true
		l.whole()
		l.cursor.Hear(true)
		l.heard(l.position)
	case e.Document == nil:
	case e.Document.Name == l.store.headName():
		l.takeHead(ctx, e.Document)
	default:
		l.cursor.Tell(l.store.feedEntry(ctx, e.Document, l.cursor)...)
		*l.last = later(*l.last, feedTime(e.Document).Add(-feedLag))
		l.entries++
		if l.entries >= mostListened || l.entries >= enoughListened && time.Since(l.began) > worthListening {
			l.end(errListened)
		}
	}
}

func (l *listening) takeHead(ctx context.Context, head *docdb.Document) {
	now, err := l.store.look(ctx, head, head.UpdateTime.AsTime())
	switch {
	case err != nil:
		l.end(err)
	case layoutOf(head) != l.layout: // entries come elsewhere now
		l.end(errListened)
	case now.position > 0:
		l.heard(now.position)
	}
}
