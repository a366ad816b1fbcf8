package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// The document that says who sweeps the outbox, up to which time it was swept, and
// what the last sweep has left. It has neither seq nor pending, so that queries for
// entries of the ledger leave it out. Its update time is when it was written last.
const (
	sweepID      = "outbox"
	fieldSwept   = "swept"   // all that was put there up to then was published
	fieldWaiting = "waiting" // documents
	fieldOldest  = "oldest"  // time of the first of them
	fieldLooked  = "looked"  // as of when that is so
)

// sweepFormat is the format of that document.
const sweepFormat = 1

func (s *Store) sweepName() string { return s.db.Name(LedgerCollection, sweepID) }

// readSweep reads the document, and the time.
func (s *Store) readSweep(ctx context.Context) (*docdb.Document, time.Time, error) {
	name := s.sweepName()
	documents, now, err := s.get(ctx, []string{name})
	if err != nil {
		return nil, now, err
	}
	d := documents[name]
	if _, err := decodeFormat(d); d != nil && err != nil {
		return nil, now, s.tooNew(ctx, "ledger", ownership.TooNew(shortName(name), err))
	}
	return d, now, nil
}

// saveSweep writes some fields of the document, and returns when it was written.
func (s *Store) saveSweep(ctx context.Context, on docdb.Condition, fields map[string]*docdb.Value, mask ...string) (time.Time, error) {
	fields[fieldFormat], fields[fieldUpdatedAt] = docdb.Integer(sweepFormat), docdb.Null() // so that it is a change
	receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
		Name: s.sweepName(), Fields: fields, Mask: append(mask, fieldUpdatedAt, fieldFormat), Times: []string{fieldUpdatedAt}, If: on,
	})
	if err != nil {
		return time.Time{}, err
	}
	return receipt.Updated[0], nil
}

// sweptUpTo is the time up to which the outbox was swept, in this epoch of the ledger,
// which it returns. Before it was recovered, a database that was restored may have got
// documents that are older than that, from an export that is not of one time.
func (s *Store) sweptUpTo(ctx context.Context, d *docdb.Document) (from time.Time, epoch string, err error) {
	documents, _, err := s.get(ctx, []string{s.headName()})
	if err != nil {
		return from, "", err
	}
	epoch = documents[s.headName()].GetFields()[fieldEpoch].GetStringValue()
	if d.GetFields()[fieldEpoch].GetStringValue() == epoch {
		from = timestamp(d.GetFields()[fieldSwept])
	}
	return from, epoch, nil
}

func decodeSweep(d *docdb.Document) ownership.OutboxState {
	f := d.GetFields()
	return ownership.OutboxState{
		Waiting: f[fieldWaiting].GetIntegerValue(), Oldest: timestamp(f[fieldOldest]), At: timestamp(f[fieldLooked]),
		Elsewhere: f[fieldHolder].GetStringValue() != "",
	}
}

// ReadOutbox implements ownership.Outbox.
func (s *Store) ReadOutbox(ctx context.Context) (ownership.OutboxState, error) {
	d, now, err := s.readSweep(ctx)
	if err != nil {
		return ownership.OutboxState{}, fmt.Errorf("read the outbox: %w", err)
	}
	var state ownership.OutboxState
	from, _, err := s.sweptUpTo(ctx, d)
	if err == nil {
		state, err = s.countOutbox(ctx, from, now.Add(-s.outboxPatience), now)
	}
	if err != nil {
		return state, fmt.Errorf("read the outbox: %w", err)
	}
	return state, nil
}

// countOutbox counts what was put there behind a time, up to another one.
func (s *Store) countOutbox(ctx context.Context, from, upTo, now time.Time) (ownership.OutboxState, error) {
	state := ownership.OutboxState{At: now}
	for shard := range outboxShards {
		q := s.outboxQuery(shard, s.outboxFloor(shard, from), upTo)
		q.Limit, q.Select = 1, []string{fieldAt}
		found := false
		err := s.query(ctx, q, func(d *docdb.Document) error {
			found = true
			if at := timestamp(d.Fields[fieldAt]); state.Oldest.IsZero() || at.Before(state.Oldest) {
				state.Oldest = at
			}
			return nil
		})
		if err != nil {
			return state, err
		}
		if !found {
			continue
		}
		n, err := s.count(ctx, s.outboxQuery(shard, s.outboxFloor(shard, from), upTo))
		if err != nil {
			return state, err
		}
		state.Waiting += n
	}
	return state, nil
}

// outboxQuery is of a shard, behind a name, up to a time.
func (s *Store) outboxQuery(shard int, after string, upTo time.Time) docdb.Query {
	return docdb.Query{Collection: OutboxCollection, After: after, UpTo: s.outboxName(shard, upTo, "")}
}

// outboxFloor is the name behind which a shard's documents of later than a time are.
func (s *Store) outboxFloor(shard int, from time.Time) string {
	if from.IsZero() {
		from = time.UnixMicro(0)
	}
	return s.outboxName(shard, from, "")
}
