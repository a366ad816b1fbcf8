package rules

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// Firestore stands for the rules of Firestore before one emulator. It is safe for
// concurrent use, and its settings may change at any time.
type Firestore struct {
	front
	indexes *Indexes
	hot     hotDocuments
	ranges  indexRanges

	mu        sync.Mutex
	recovery  bool // point-in-time recovery
	failReads codes.Code
	failWrite codes.Code
	listeners map[*checkedStream]struct{}
}

// NewFirestore starts the rules before an emulator (host:port). The caller
// closes them.
func NewFirestore(host string, indexes *Indexes) (*Firestore, error) {
	f := &Firestore{indexes: indexes, listeners: map[*checkedStream]struct{}{}}
	f.WriteRate(SustainedWrites, WriteBurst)
	err := f.front.start(host, f.unary, f.stream)
	return f, err
}

// PointInTimeRecovery turns point-in-time recovery on or off; see
// [Firestore.tooOld] for what that changes. At first it is off.
func (f *Firestore) PointInTimeRecovery(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recovery = on
}

// FailReads makes every read fail with a code, and ends the listeners that are
// open, until it is called with codes.OK. What the services answer:
// ResourceExhausted beyond a quota, Unavailable while they are down,
// PermissionDenied without a role
// (https://cloud.google.com/firestore/docs/understand-error-codes).
func (f *Firestore) FailReads(code codes.Code) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failReads = code
	if code != codes.OK {
		for s := range f.listeners {
			s.refuse(failure(code))
		}
	}
}

// FailWrites is FailReads for writes.
func (f *Firestore) FailWrites(code codes.Code) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failWrite = code
}

// Report returns what would have been hot so far.
func (f *Firestore) Report() Report {
	return Report{Documents: f.hot.report(), Ranges: f.ranges.report()}
}

func (f *Firestore) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := f.check(req); err != nil {
		return err
	}
	call := func(req, reply any) error { return invoke(ctx, method, req, reply, cc, opts...) }
	if m, ok := req.(*firestorepb.BatchWriteRequest); ok {
		return f.batchWrite(ctx, m, reply.(*firestorepb.BatchWriteResponse), call)
	}
	return f.write(ctx, req, func(req any) error { return call(req, reply) })
}

func (f *Firestore) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := openChecked(ctx, f.check, desc, cc, method, open, opts...)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(method, "/Listen") {
		f.listening(s)
	}
	return s, nil
}

func (f *Firestore) listening(s *checkedStream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listeners[s] = struct{}{}
	cancel := s.cancel
	s.cancel = func() {
		cancel()
		go func() { // refuse holds mu
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.listeners, s)
		}()
	}
}

// check refuses what can be refused by the request alone.
func (f *Firestore) check(request any) error {
	if err := f.failing(request); err != nil {
		return err
	}
	if err := tooLarge(request.(proto.Message)); err != nil {
		return err
	}
	if err := f.tooOld(request, time.Now()); err != nil {
		return err
	}
	switch m := request.(type) {
	case *firestorepb.ListenRequest:
		return f.checkListen(m)
	case *firestorepb.RunQueryRequest:
		return f.checkQuery(m.GetStructuredQuery())
	case *firestorepb.RunAggregationQueryRequest:
		return f.checkQuery(m.GetStructuredAggregationQuery().GetStructuredQuery())
	case *firestorepb.WriteRequest:
		return f.checkWrites(m.GetWrites())
	case *firestorepb.CommitRequest:
		return f.checkWrites(m.GetWrites())
	case *firestorepb.CreateDocumentRequest:
		return f.checkDocument(m.GetDocument(), m.GetCollectionId())
	case *firestorepb.UpdateDocumentRequest:
		return f.checkDocument(m.GetDocument(), collectionOf(m.GetDocument().GetName()))
	}
	return nil // BatchWrite answers for each write; see batchWrite
}

// failing applies FailReads and FailWrites.
func (f *Firestore) failing(request any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch request.(type) {
	case *firestorepb.CommitRequest, *firestorepb.BatchWriteRequest, *firestorepb.WriteRequest,
		*firestorepb.CreateDocumentRequest, *firestorepb.UpdateDocumentRequest, *firestorepb.DeleteDocumentRequest:
		return failure(f.failWrite)
	case *firestorepb.RollbackRequest:
		return nil
	}
	return failure(f.failReads)
}
