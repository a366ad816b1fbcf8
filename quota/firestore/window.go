package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/quota"
)

// Load implements quota.Store.
func (s *Store) Load(ctx context.Context, key quota.Key) (quota.Snapshot, error) {
	d, readTime, err := s.get(ctx, s.counter(key))
	if err != nil {
		return quota.Snapshot{}, fmt.Errorf("load %s: %w", key, err)
	}
	if d == nil {
		return quota.Snapshot{Version: quota.Absent, ReadTime: readTime}, nil
	}
	if err := understood(d); err != nil {
		return quota.Snapshot{}, fmt.Errorf("load %s: %w", key, s.tooNew(ctx, err))
	}
	return quota.Snapshot{
		Window: decode(d.GetFields()), Version: version(d.GetUpdateTime()), ReadTime: readTime,
		Reset: decodeReset(d.GetFields()),
	}, nil
}

// get reads one document, nil if there is none. It is a BatchGetDocuments,
// because a GetDocument does not tell the time of the read.
func (s *Store) get(ctx context.Context, name string) (*firestorepb.Document, time.Time, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	stream, err := s.client.BatchGetDocuments(s.outgoing(ctx), &firestorepb.BatchGetDocumentsRequest{
		Database:  s.database,
		Documents: []string{name},
	})
	if err != nil {
		return nil, time.Time{}, unavailable(err)
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errors.New("no answer for the document")
		}
		if err != nil {
			return nil, time.Time{}, unavailable(err)
		}
		if response.GetResult() != nil {
			return response.GetFound(), response.GetReadTime().AsTime(), nil
		}
	}
}

// Save implements quota.Store.
func (s *Store) Save(ctx context.Context, key quota.Key, c quota.Change) (quota.Receipt, error) {
	writes := []*firestorepb.Write{{
		Operation:       update(s.counter(key), encode(c)),
		UpdateMask:      &firestorepb.DocumentMask{FieldPaths: replaced(c)},
		CurrentDocument: precondition(c.Since),
	}}
	if c.ResetBy != "" {
		name := s.document(ResetCollection, key.DocumentID())
		before, _, err := s.get(ctx, name)
		if err == nil {
			err = s.tooNew(ctx, understood(before))
		}
		if err != nil {
			return quota.Receipt{}, fmt.Errorf("save %s: %w", key, err)
		}
		writes = append(writes, &firestorepb.Write{
			Operation:  update(name, notice(c)),
			UpdateMask: &firestorepb.DocumentMask{FieldPaths: noticeFields},
		})
	}
	response, err := s.client.Commit(s.outgoing(ctx), &firestorepb.CommitRequest{Database: s.database, Writes: writes})
	switch status.Code(err) {
	case codes.OK:
		return quota.Receipt{
			Version:    version(response.GetWriteResults()[0].GetUpdateTime()),
			CommitTime: response.GetCommitTime().AsTime(),
		}, nil
	case codes.FailedPrecondition, codes.AlreadyExists, codes.NotFound, codes.Aborted:
		// NotFound is the answer to an update_time where the document is gone, and
		// to a database that does not exist: the Load that follows tells. Aborted is
		// a document that is written too often, or by many at once, and rolled back:
		// https://cloud.google.com/firestore/docs/understand-error-codes.
		return quota.Receipt{}, fmt.Errorf("save %s: %w: %w", key, quota.ErrConflict, err)
	}
	return quota.Receipt{}, fmt.Errorf("save %s: %w", key, unavailable(err))
}

func update(name string, fields map[string]*firestorepb.Value) *firestorepb.Write_Update {
	return &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: fields}}
}

func precondition(v quota.Version) *firestorepb.Precondition {
	if v == quota.Absent {
		return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
	}
	return &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{
		UpdateTime: timestamppb.New(time.Unix(0, int64(v)))}}
}

func version(t *timestamppb.Timestamp) quota.Version { return quota.Version(t.AsTime().UnixNano()) }

func unavailable(err error) error { return fmt.Errorf("%w: %w", quota.ErrUnavailable, err) }
