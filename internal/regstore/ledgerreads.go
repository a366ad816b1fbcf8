package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// ledgerReads finds for each read the ledger of the read's own time. Reads that
// need entries which this process does not know share the queries: one is under
// way, for the latest of those that wait, and from what it brings the ledgers of
// the others follow (ownership.Ledger.Between). So a read waits for the query that
// is under way and for one more, however many reads there are and whatever the
// head does meanwhile; and all of them together take no more than one query at a
// time.
type ledgerReads struct {
	store    *Store
	patience time.Duration

	mu       sync.Mutex
	underWay int                 // reads that have been sent and not answered
	kept     []*ownership.Ledger // what they have brought, the last used last
	wanted   []*wantedLedger     // what the next round is for
	reading  bool
}

// wantedLedger is a ledger that a read waits for.
type wantedLedger struct {
	ctx    context.Context
	base   *ownership.Ledger // a ledger before it, of its epoch
	now    point
	at     time.Time // the read's time, when the head was at that point
	answer chan ledgerAnswer
}

type ledgerAnswer struct {
	ledger *ownership.Ledger
	err    error
}

// patience is how long a query holds up the next one. One that takes longer, or
// never ends, goes on beside it.
const patience = time.Second

// errTwoTimes: two reads as of one time have seen different states.
var errTwoTimes = errors.New("two reads as of one time disagree")

func newLedgerReads(s *Store) *ledgerReads { return &ledgerReads{store: s, patience: patience} }

// mostKept bounds the ledgers that are kept beside the newest: ledgers are large.
const mostKept = 8

// begin is called before a read is sent. Until the function that it returns is
// called, ledgers are kept from which that of the read may follow.
func (r *ledgerReads) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.underWay--; r.underWay == 0 {
			r.kept = nil
		}
	}
}

// keep remembers a ledger while reads are under way.
func (r *ledgerReads) keep(l *ownership.Ledger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepLocked(l)
}

func (r *ledgerReads) keepLocked(l *ownership.Ledger) {
	if r.underWay == 0 || l == nil {
		return
	}
	r.kept = slices.DeleteFunc(r.kept, func(k *ownership.Ledger) bool { return k.Epoch() == l.Epoch() && k.Position() == l.Position() })
	r.kept = append(r.kept, l)
	if extra := len(r.kept) - mostKept; extra > 0 {
		r.kept = slices.Delete(r.kept, 0, extra)
	}
}

// ledger returns the ledger at a point, where the head was at a time. It waits
// for no longer than ctx. A base of another epoch is none.
func (r *ledgerReads) ledger(ctx context.Context, base *ownership.Ledger, now point, at time.Time) (*ownership.Ledger, error) {
	if base == nil || base.Epoch() != now.epoch {
		base = (*ownership.Ledger)(nil).InEpoch(now.epoch)
	}
	if base.Position() == now.position {
		return base, nil
	}
	if ledger, _, ok := r.find(base, now.position); ok {
		return ledger, nil
	}
	w := &wantedLedger{ctx, base, now, at, make(chan ledgerAnswer, 1)}
	r.mu.Lock()
	r.wanted = append(r.wanted, w)
	start := !r.reading
	r.reading = true
	r.mu.Unlock()
	if start {
		go r.run()
	}
	select {
	case a := <-w.answer:
		return a.ledger, a.err
	case <-ctx.Done():
		return nil, unavailable("read the ledger", ctx.Err())
	}
}

// find returns the ledger at a position of base's epoch, if it is known, or follows from
// what is known; else the last known one before it.
func (r *ledgerReads) find(base *ownership.Ledger, position int64) (ledger, before *ownership.Ledger, ok bool) {
	newest := r.store.cached.Load().Ledger
	r.mu.Lock()
	defer r.mu.Unlock() // to the end: what many ask for is made once
	before = base
	var after *ownership.Ledger
	for _, l := range append(slices.Clone(r.kept), newest) {
		switch at := l.Position(); {
		case l == nil || l.Epoch() != base.Epoch():
		case at == position:
			return l, nil, true
		case at < position && at > before.Position():
			before = l
		case at > position && (after == nil || at < after.Position()):
			after = l
		}
	}
	if after == nil {
		return nil, before, false
	}
	if ledger, ok = before.Between(position, after); ok {
		r.keepLocked(ledger)
	}
	return ledger, before, ok
}

// run reads until nothing is wanted.
func (r *ledgerReads) run() {
	for {
		round := r.take()
		if len(round) == 0 {
			return
		}
		done, overdue := make(chan struct{}), time.After(r.patience)
		go func() {
			defer close(done)
			r.read(round)
		}()
		select {
		case <-done:
		case <-overdue:
		}
	}
}

// take takes what is still waited for; nothing if the loop has come to rest.
func (r *ledgerReads) take() []*wantedLedger {
	r.mu.Lock()
	defer r.mu.Unlock()
	round := slices.DeleteFunc(r.wanted, func(w *wantedLedger) bool { return w.ctx.Err() != nil })
	r.wanted = nil
	r.reading = len(round) > 0
	return round
}

// read answers a round, the latest position first. It ends when no caller waits for
// it any more. An error is that of all who have no answer yet.
func (r *ledgerReads) read(round []*wantedLedger) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(round[0].ctx))
	defer cancel()
	var left atomic.Int64
	for _, w := range round {
		defer context.AfterFunc(w.ctx, func() {
			if left.Add(1) == int64(len(round)) {
				cancel()
			}
		})()
	}
	slices.SortStableFunc(round, func(a, b *wantedLedger) int { return cmp.Compare(b.now.position, a.now.position) })
	var err error
	for _, w := range round {
		var ledger *ownership.Ledger
		if err == nil {
			ledger, err = r.findOrQuery(ctx, w)
		}
		w.answer <- ledgerAnswer{ledger, err}
	}
}

func (r *ledgerReads) findOrQuery(ctx context.Context, w *wantedLedger) (*ownership.Ledger, error) {
	ledger, before, ok := r.find(w.base, w.now.position)
	if ok {
		return ledger, nil
	}
	if before.Position() == 0 { // nothing is known
		ledger, err := r.store.loadAt(ctx, w.now, w.at)
		if err == nil {
			r.store.advance(&certifiedLedger{Ledger: ledger}) // as below
		}
		return ledger, err
	}
	changed, last, err := r.store.ledgerEntries(ctx, before.Position(), w.at)
	if err != nil {
		return nil, err
	}
	if last != w.now.position {
		return nil, unavailable("read the ledger", fmt.Errorf("its head is at position %d, its last entry at %d: %w", w.now.position, last, errTwoTimes))
	}
	ledger = before.With(w.now.position, changed)
	r.store.advance(&certifiedLedger{Ledger: ledger}) // who asked says since when it is the newest
	return ledger, nil
}
