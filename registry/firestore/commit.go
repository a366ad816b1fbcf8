package firestore

import (
	"context"
	"iter"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/cenkalti/backoff/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// deadline is until when a commit may be under way of what was folded with the
// ledger: so that none comes later whose writer did not know of a change, also
// where this process was stopped after the fold.
func (s *Store) deadline(ledger *certifiedLedger) time.Time {
	return ledger.since.Add(s.ledgerStaleness + s.commitDeadline)
}

// commit writes all or nothing, before the deadline, and within CommitDeadline.
// It returns the commit time.
func (s *Store) commit(ctx context.Context, deadline time.Time, writes ...*firestorepb.Write) (time.Time, error) {
	ctx, cancel := s.bounded(ctx, deadline)
	defer cancel()
	response, err := s.client.Commit(s.outgoing(ctx), &firestorepb.CommitRequest{Database: s.database, Writes: writes})
	if err != nil {
		return time.Time{}, unavailable("commit", err)
	}
	return response.CommitTime.AsTime(), nil
}

// batchWrite writes each for itself, before the deadline, and within
// CommitDeadline, and returns one code per write. No document may be in it
// twice.
func (s *Store) batchWrite(ctx context.Context, deadline time.Time, writes []*firestorepb.Write) ([]codes.Code, error) {
	ctx, cancel := s.bounded(ctx, deadline)
	defer cancel()
	response, err := s.client.BatchWrite(s.outgoing(ctx), &firestorepb.BatchWriteRequest{Database: s.database, Writes: writes})
	if err != nil {
		return nil, unavailable("batch write", err)
	}
	results := make([]codes.Code, len(writes))
	for i, st := range response.Status { // empty if all succeeded
		results[i] = codes.Code(st.GetCode())
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
		)
		for attempt := range raceAttempts {
			if !yield(attempt) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait.NextBackOff()):
			}
		}
	}
}

// worthRereading reports whether the document is to be read again after a failed
// write: where a race was lost, always; where the answer may have been lost,
// once, to learn whether the write happened.
func worthRereading(err error, attempt int) bool { return lostRace(status.Code(err)) || attempt == 0 }

// lostRace reports whether somebody else wrote the document in the meantime.
func lostRace(c codes.Code) bool {
	return c == codes.AlreadyExists || c == codes.FailedPrecondition || c == codes.NotFound || c == codes.Aborted
}

// asRead makes a write fail where the document is no longer as it was read.
func asRead(d *firestorepb.Document) *firestorepb.Precondition {
	if d == nil {
		return absent()
	}
	return unchangedSince(d.UpdateTime.AsTime())
}

func absent() *firestorepb.Precondition {
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
}

func unchangedSince(updateTime time.Time) *firestorepb.Precondition {
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: timestamppb.New(updateTime)}}
}

// commitTime sets a field to the server's time.
func commitTime(field string) *firestorepb.DocumentTransform_FieldTransform {
	return &firestorepb.DocumentTransform_FieldTransform{
		FieldPath: field,
		TransformType: &firestorepb.DocumentTransform_FieldTransform_SetToServerValue{
			SetToServerValue: firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME,
		},
	}
}
