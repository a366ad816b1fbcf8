package firestoredb

import (
	"cmp"
	"context"
	"errors"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Listen implements docdb.DB: all targets on one stream. If the service says that
// its reports were incomplete (by a filter's count), the Listen ends, and the next
// one begins anew.
func (db *DB) Listen(ctx context.Context, targets []docdb.Target, tell func(docdb.Event)) error {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	l := listening{db: db, tell: tell, targets: make([]listened, len(targets))}
	stream, err := db.client.Listen(db.outgoing(ctx))
	for i := 0; err == nil && i < len(targets); i++ {
		l.targets[i].names = map[string]bool{}
		err = stream.Send(&firestorepb.ListenRequest{
			Database:     db.database,
			TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: db.target(i, targets[i])},
		})
	}
	for err == nil {
		var response *firestorepb.ListenResponse
		if response, err = stream.Recv(); err == nil {
			err = l.take(response)
		}
	}
	return errors.Join(err, context.Cause(ctx))
}

// target is a target as the wire has it. Its id is one more than its place.
func (db *DB) target(i int, t docdb.Target) *firestorepb.Target {
	if t.Document != "" {
		return &firestorepb.Target{TargetId: int32(i + 1), TargetType: &firestorepb.Target_Documents{
			Documents: &firestorepb.Target_DocumentsTarget{Documents: []string{t.Document}}}}
	}
	return &firestorepb.Target{TargetId: int32(i + 1), TargetType: &firestorepb.Target_Query{Query: &firestorepb.Target_QueryTarget{
		Parent:    db.root(),
		QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: db.structured(t.Query)},
	}}}
}

// listening is the state of a stream.
type listening struct {
	db      *DB
	tell    func(docdb.Event)
	targets []listened
}

type listened struct {
	names   map[string]bool // of the documents that there are
	current bool
}

// take passes one message on.
func (l *listening) take(response *firestorepb.ListenResponse) error {
	switch r := response.GetResponseType().(type) {
	case *firestorepb.ListenResponse_DocumentChange:
		d := r.DocumentChange.GetDocument()
		for _, id := range r.DocumentChange.GetTargetIds() {
			l.targets[id-1].names[d.GetName()] = true
			l.tell(docdb.Event{Target: int(id - 1), Document: d})
		}
		l.gone(d.GetName(), r.DocumentChange.GetRemovedTargetIds())
	case *firestorepb.ListenResponse_DocumentDelete:
		l.gone(r.DocumentDelete.GetDocument(), r.DocumentDelete.GetRemovedTargetIds())
	case *firestorepb.ListenResponse_DocumentRemove:
		l.gone(r.DocumentRemove.GetDocument(), r.DocumentRemove.GetRemovedTargetIds())
	case *firestorepb.ListenResponse_Filter:
		if known := len(l.targets[r.Filter.GetTargetId()-1].names); known != int(r.Filter.GetCount()) {
			return status.Errorf(codes.DataLoss, "the stream has missed a change: %d documents, and not %d", known, r.Filter.GetCount())
		}
	case *firestorepb.ListenResponse_TargetChange:
		return l.target(r.TargetChange)
	}
	return nil
}

func (l *listening) gone(name string, targets []int32) {
	for _, id := range targets {
		if l.targets[id-1].names[name] {
			delete(l.targets[id-1].names, name)
			l.tell(docdb.Event{Target: int(id - 1), Gone: name})
		}
	}
}

func (l *listening) target(change *firestorepb.TargetChange) error {
	ids := change.GetTargetIds()
	if len(ids) == 0 { // all of them
		for i := range l.targets {
			ids = append(ids, int32(i+1))
		}
	}
	switch change.GetTargetChangeType() {
	case firestorepb.TargetChange_REMOVE:
		return status.Errorf(cmp.Or(codes.Code(change.GetCause().GetCode()), codes.Unavailable), "the service has ended it: %s", change.GetCause().GetMessage())
	case firestorepb.TargetChange_RESET: // all is told again
		for _, id := range ids {
			for name := range l.targets[id-1].names {
				l.gone(name, []int32{id})
			}
			l.targets[id-1].current = false
		}
	case firestorepb.TargetChange_CURRENT:
		for _, id := range ids {
			l.targets[id-1].current = true
		}
	}
	// With a read time, everything up to it has been told.
	for _, t := range l.targets {
		if !t.current {
			return nil
		}
	}
	if change.GetReadTime() != nil && len(ids) == len(l.targets) {
		l.tell(docdb.Event{Whole: true})
	}
	return nil
}
