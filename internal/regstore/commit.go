package regstore

import (
	"context"
	"iter"
	"time"

	"github.com/cenkalti/backoff/v4"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// deadline is until when a commit may be under way of what was folded with the
// ledger: so that none comes later whose writer did not know of a change, also
// if this process was stopped after the fold.
func (s *Store) deadline(ledger *certifiedLedger) time.Time {
	return ledger.since.Add(s.ledgerStaleness + s.commitDeadline)
}

// commit writes all or nothing, before the deadline, and within CommitDeadline.
func (s *Store) commit(ctx context.Context, deadline time.Time, writes ...docdb.Write) (docdb.Receipt, error) {
	ctx, cancel := s.bounded(ctx, deadline)
	defer cancel()
	receipt, err := s.db.Commit(ctx, writes...)
	if err != nil {
		return docdb.Receipt{}, unavailable("commit", err)
	}
	return receipt, nil
}

// batchWrite writes each for itself, before the deadline, and within
// CommitDeadline, and returns one code per write. No document may be in it
// twice.
func (s *Store) batchWrite(ctx context.Context, deadline time.Time, writes []docdb.Write) ([]codes.Code, error) {
	ctx, cancel := s.bounded(ctx, deadline)
	defer cancel()
	results, err := s.db.BatchWrite(ctx, writes)
	if err != nil {
		return nil, unavailable("batch write", err)
	}
	return results, nil
}

func (s *Store) bounded(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	if soon := time.Now().Add(s.commitDeadline); soon.Before(deadline) {
		deadline = soon
	}
	return context.WithDeadline(ctx, deadline)
}

// raceAttempts bounds how often a lost race for a document is run again.
const raceAttempts = 30

// attempts yields 0, 1, 2, … with a jittered, growing wait in between, until
// raceAttempts or the end of ctx.
func (s *Store) attempts(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		wait := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(2*time.Millisecond),
			backoff.WithMaxInterval(250*time.Millisecond),
			backoff.WithMaxElapsedTime(0),
			backoff.WithRandomizationFactor(0), // it is multiplied below
		)
		for attempt := range raceAttempts {
			if !yield(attempt) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration((0.5 + s.chance()) * float64(wait.NextBackOff()))):
			}
		}
	}
}

// worthRereading reports whether the document is to be read again after a failed
// write: always if a race was lost. If the answer may have been lost, only after
// the first attempt, to learn whether the write happened: a database that fails
// later too is for the caller to wait for.
func worthRereading(err error, attempt int) bool { return docdb.LostTheRace(err) || attempt == 0 }
