package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const (
	// sweepLease is for how long others leave a sweep alone. It saves work: an event
	// that two sweeps publish is one event.
	sweepLease = 2 * time.Minute
	// sweepPage is how many documents are published before they are removed.
	sweepPage = 500
)

// SweepOutbox implements ownership.Outbox. What it finds was committed long ago:
// names have the time of a read on which the commit rests, and no commit comes later
// than that and LedgerStaleness and CommitDeadline. So once a sweep has published all
// names up to a time, none before that can appear any more, and the next sweep begins
// there.
func (s *Store) SweepOutbox(ctx context.Context, holder string, publish func(context.Context, []ownership.Logged) error) (state ownership.OutboxState, err error) {
	ctx, done := s.telemetry.start(ctx, "sweep_outbox", 0)
	defer func() { done(err) }()
	d, now, err := s.readSweep(ctx)
	if err != nil {
		return state, fmt.Errorf("sweep the outbox: %w", err)
	}
	if s.leaveSweep(d, now, holder) {
		return decodeSweep(d), nil
	}
	if err := s.mayWrite(ctx); err != nil {
		return state, fmt.Errorf("sweep the outbox: %w", err)
	}
	taken, err := s.saveSweep(ctx, docdb.AsRead(d), map[string]*docdb.Value{fieldHolder: docdb.Text(holder)}, fieldHolder)
	if docdb.LostTheRace(err) {
		state = decodeSweep(d)
		state.Elsewhere = true
		return state, nil
	}
	if err != nil {
		return state, fmt.Errorf("sweep the outbox: %w", err)
	}
	from, epoch, err := s.sweptUpTo(ctx, d)
	if err != nil {
		return state, fmt.Errorf("sweep the outbox: %w", err)
	}
	sweep := outboxSweep{
		store: s, from: from, epoch: epoch, upTo: now.Add(-s.outboxPatience), publish: publish,
		holder: holder, taken: taken, renewed: time.Now(),
	}
	failure := sweep.all(ctx)
	if state = (ownership.OutboxState{At: now}); !sweep.whole {
		state, err = s.countOutbox(ctx, sweep.from, sweep.upTo, now)
	}
	if err == nil {
		err = s.endSweep(ctx, sweep, state)
	}
	if failure == nil && err != nil && !docdb.LostTheRace(err) { // else another has taken the lease over
		failure = fmt.Errorf("sweep the outbox: %w", err)
	}
	return state, failure
}

// leaveSweep reports whether a sweep is another's, or is not due. One that has left
// something is due at once: who made it may lack the right to publish.
func (s *Store) leaveSweep(d *docdb.Document, now time.Time, holder string) bool {
	if d == nil {
		return false
	}
	other := d.Fields[fieldHolder].GetStringValue()
	passed := now.Sub(d.UpdateTime.AsTime())
	if other == "" {
		return passed < s.outboxPatience*3/4 && decodeSweep(d).Waiting == 0 // of several that come each minute, one
	}
	return other != holder && passed < sweepLease
}

// endSweep gives the lease back, and notes how far the sweep came, and what it has
// left.
func (s *Store) endSweep(ctx context.Context, sweep outboxSweep, state ownership.OutboxState) error {
	fields := map[string]*docdb.Value{
		fieldHolder: docdb.Text(""), fieldEpoch: docdb.Text(sweep.epoch), fieldWaiting: docdb.Integer(state.Waiting), fieldLooked: docdb.Timestamp(state.At),
	}
	swept := sweep.from
	if sweep.whole {
		swept = sweep.upTo
	}
	if !swept.IsZero() {
		fields[fieldSwept] = docdb.Timestamp(swept)
	}
	if state.Waiting > 0 {
		fields[fieldOldest] = docdb.Timestamp(state.Oldest)
	}
	_, err := s.saveSweep(ctx, docdb.Condition{Updated: sweep.taken}, fields, fieldHolder, fieldEpoch, fieldSwept, fieldWaiting, fieldOldest, fieldLooked)
	return err
}

// outboxSweep is a sweep under way.
type outboxSweep struct {
	store      *Store
	from, upTo time.Time
	epoch      string // of the ledger
	publish    func(context.Context, []ownership.Logged) error
	whole      bool // all that was found was understood and published

	holder         string
	taken, renewed time.Time // of the lease, by the store's clock; by this process's
}

// all publishes what is there, and removes it.
func (w *outboxSweep) all(ctx context.Context) error {
	w.whole = true
	for shard := range outboxShards {
		if err := w.shard(ctx, shard); err != nil {
			w.whole = false
			return err
		}
	}
	return nil
}

func (w *outboxSweep) shard(ctx context.Context, shard int) error {
	after := w.store.outboxFloor(shard, w.from)
	for {
		q := w.store.outboxQuery(shard, after, w.upTo)
		q.Limit = sweepPage
		var page []ownership.Logged
		found := 0
		err := w.store.query(ctx, q, func(d *docdb.Document) error {
			found, after = found+1, d.Name
			l, err := decodeLogged(d)
			if err != nil { // it is left to a process that understands it
				w.whole = false
				_ = w.store.tooNew(ctx, "outbox", err)
				return nil
			}
			page = append(page, l)
			return nil
		})
		if err == nil && len(page) > 0 {
			err = w.page(ctx, page)
		}
		if err != nil || found < sweepPage {
			return err
		}
	}
}

func (w *outboxSweep) page(ctx context.Context, page []ownership.Logged) (err error) {
	if time.Since(w.renewed) > sweepLease/4 {
		fields := map[string]*docdb.Value{fieldHolder: docdb.Text(w.holder)}
		if w.taken, err = w.store.saveSweep(ctx, docdb.Condition{Updated: w.taken}, fields, fieldHolder); err != nil {
			return err
		}
		w.renewed = time.Now()
	}
	if err := w.publish(ctx, page); err != nil {
		return err
	}
	names := make([]string, len(page))
	for i, l := range page {
		names[i] = l.Name
	}
	return w.store.Published(ctx, names)
}
