package rules

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// The limits of https://firebase.google.com/docs/firestore/quotas.
const (
	MaxRequest      = 10 << 20 // bytes of a request
	MaxDocument     = 1 << 20  // bytes of a document, as documentSize counts them
	MaxIndexEntries = 40_000   // of a document
	MaxDisjunctions = 30       // of a query in disjunctive normal form
)

// tooLarge is the error of a request that is too large, in the words of
// Johannes-Berggren/firestore-to-bigquery-export#3. (The emulator takes less:
// beyond 4 MiB it answers ResourceExhausted, "gRPC message exceeds maximum size".)
func tooLarge(request proto.Message) error {
	if proto.Size(request) > MaxRequest {
		return status.Errorf(codes.InvalidArgument, "Request payload size exceeds the limit: %d bytes.", MaxRequest)
	}
	return nil
}

// How far back reads may go, with point-in-time recovery and without:
// https://cloud.google.com/firestore/docs/pitr#pitr_window.
const (
	retained  = time.Hour
	recovered = 7 * 24 * time.Hour
)

// tooOld refuses a read time that is older than an hour: "Must be a microsecond
// precision timestamp within the past one hour, or if Point-in-Time Recovery is
// enabled, can additionally be a whole minute timestamp within the past 7 days"
// (firestore.proto, read_time of every read). The code is that of the client's
// documents and of "the requested snapshot version is too old"
// (https://cloud.google.com/datastore/docs/concepts/errors).
func (f *Firestore) tooOld(request any, now time.Time) error {
	at := readTime(request)
	if at == nil {
		return nil
	}
	f.mu.Lock()
	recovery := f.recovery
	f.mu.Unlock()
	age := now.Sub(at.AsTime())
	switch {
	case age <= retained:
		return nil
	case recovery && age <= recovered && at.AsTime().Truncate(time.Minute).Equal(at.AsTime()):
		return nil
	}
	return status.Error(codes.FailedPrecondition, "The requested snapshot version is too old.")
}

func readTime(request any) *timestamppb.Timestamp {
	var options *firestorepb.TransactionOptions
	switch m := request.(type) {
	case interface {
		GetOptions() *firestorepb.TransactionOptions
	}: // BeginTransaction
		options = m.GetOptions()
	case interface {
		GetReadTime() *timestamppb.Timestamp
		GetNewTransaction() *firestorepb.TransactionOptions
	}:
		if at := m.GetReadTime(); at != nil {
			return at
		}
		options = m.GetNewTransaction()
	case interface{ GetReadTime() *timestamppb.Timestamp }:
		return m.GetReadTime()
	}
	return options.GetReadOnly().GetReadTime()
}

// checkDocument checks the limits of one write. If a write sets only some fields,
// or changes them by transforms, it sees the fields of the request alone; the
// emulator itself checks the size of the whole document.
func (f *Firestore) checkDocument(d *firestorepb.Document, collection string) error {
	if size := documentSize(d); size > MaxDocument {
		return status.Errorf(codes.InvalidArgument, "Document '%s' cannot be written because its size (%s bytes) exceeds the maximum allowed size of %s bytes.",
			d.GetName(), thousands(size), thousands(MaxDocument))
	}
	// An entry takes more than a byte of the request.
	if proto.Size(d) < MaxIndexEntries {
		return nil
	}
	if n := f.indexes.entries(collection, d.GetFields()); n > MaxIndexEntries {
		return status.Errorf(codes.InvalidArgument, "too many index entries for entity %s: %d, and %d is the most", d.GetName(), n, MaxIndexEntries)
	}
	return nil
}

// documentSize returns the size of a document as
// https://firebase.google.com/docs/firestore/storage-size counts it.
func documentSize(d *firestorepb.Document) int {
	return nameSize(d.GetName()) + mapSize(d.GetFields())
}

func mapSize(fields map[string]*firestorepb.Value) int {
	const additional = 32
	size := additional
	for name, value := range fields {
		size += len(name) + 1 + valueSize(value)
	}
	return size
}

func nameSize(name string) int {
	const additional = 16
	size := additional
	for part := range strings.SplitSeq(belowDocuments(name), "/") {
		size += len(part) + 1
	}
	return size
}

func valueSize(v *firestorepb.Value) int {
	switch v := v.GetValueType().(type) {
	case *firestorepb.Value_StringValue:
		return len(v.StringValue) + 1
	case *firestorepb.Value_BytesValue:
		return len(v.BytesValue)
	case *firestorepb.Value_ReferenceValue:
		return nameSize(v.ReferenceValue)
	case *firestorepb.Value_GeoPointValue:
		return 16
	case *firestorepb.Value_TimestampValue, *firestorepb.Value_IntegerValue, *firestorepb.Value_DoubleValue:
		return 8
	case *firestorepb.Value_ArrayValue:
		size := 0
		for _, element := range v.ArrayValue.GetValues() {
			size += valueSize(element)
		}
		return size
	case *firestorepb.Value_MapValue:
		return mapSize(v.MapValue.GetFields())
	}
	return 1 // null, boolean
}

// belowDocuments removes projects/…/databases/…/documents/.
func belowDocuments(name string) string {
	_, below, found := strings.Cut(name, "/documents/")
	if !found {
		return name
	}
	return below
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
