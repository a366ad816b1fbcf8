package regstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// loadTogether is how many entries are packed at once.
const loadTogether = 1000

// load returns the ledger as of a time, when the head was at a point: that of the
// snapshot, with what has changed since; all entries if there is none, as if the head has
// not come far. A snapshot that is ahead of the head, or of another epoch, is of another
// ledger. There may be a million entries, so it
// holds none of them as they are stored.
func (s *Store) load(ctx context.Context, at time.Time, head point) (_ *ownership.Ledger, err error) {
	ctx, done := s.telemetry.start(ctx, "load", 0)
	defer func() { done(err) }()
	told := &loadProgress{tell: s.loading}
	var base *ownership.Ledger
	if head.position >= s.snapshotEvery {
		if base, err = s.readSnapshot(ctx, at, head, told); err != nil && !errors.Is(err, errNoSnapshot) {
			return nil, err
		}
	}
	l := loader{store: s, told: told, last: base.Position()}
	if err := l.read(ctx, at); err != nil {
		return nil, err
	}
	if base == nil {
		base = (*ownership.Ledger)(nil).InEpoch(head.epoch)
	}
	return base.WithLoaded(l.last, &l.loading, l.unread), nil
}

// loader reads entries behind a position.
type loader struct {
	store   *Store
	told    *loadProgress
	last    int64 // the greatest position so far
	loading ownership.Loading
	moves   []ownership.Move // that are not packed yet
	unread  []ownership.LedgerEntry
}

// read reads as of a time. A query that breaks off is taken up where it was, if it has
// brought anything: the entry of the last position comes again.
func (l *loader) read(ctx context.Context, at time.Time) error {
	query := l.store.ledgerQuery(fieldSeq, l.last, 0, at)
	for {
		before := l.last
		err := l.store.query(ctx, query, func(d *docdb.Document) error { l.take(ctx, d); return nil })
		if err == nil {
			l.pack()
			return nil
		}
		if l.last == before || ctx.Err() != nil {
			return unavailable("read the ledger", err)
		}
		query = l.store.ledgerQuery(fieldSeq, l.last-1, 0, at)
	}
}

func (l *loader) take(ctx context.Context, d *docdb.Document) {
	if seq := d.Fields[fieldSeq].GetIntegerValue(); seq < fenceBeyond {
		l.last = max(l.last, seq)
	}
	if l.store.isFence(d) {
		return
	}
	if e := l.store.decodeLedgerEntry(ctx, d); e.Unread != nil {
		l.unread = append(l.unread, e)
	} else if l.moves = append(l.moves, e.Move()); len(l.moves) == loadTogether {
		l.pack()
	}
}

func (l *loader) pack() {
	l.loading.Add(l.moves)
	l.told.add(len(l.moves))
	l.moves = l.moves[:0]
}

// loadProgress counts entries, and tells how many there are.
type loadProgress struct {
	tell func(entries int)

	mu      sync.Mutex
	entries int
}

func (p *loadProgress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries += n
	if p.tell != nil && n > 0 {
		p.tell(p.entries)
	}
}

// loadAt is load, and compares what was read with the head.
func (s *Store) loadAt(ctx context.Context, head point, at time.Time) (*ownership.Ledger, error) {
	ledger, err := s.load(ctx, at, head)
	if err == nil && ledger.Position() != head.position {
		return nil, fmt.Errorf("read the ledger: its head is at position %d, its last entry at %d: %w: %w", head.position, ledger.Position(), registry.ErrUnavailable, errTwoTimes)
	}
	return ledger, err
}
