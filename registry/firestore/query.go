package firestore

import (
	"context"
	"errors"
	"io"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stream runs a query as of a time, where that is not zero, and visits what it
// finds. It ends at the first error that visit returns, and returns that.
func (s *Store) stream(ctx context.Context, query *firestorepb.StructuredQuery, at time.Time, visit func(*firestorepb.Document) error) error {
	request := &firestorepb.RunQueryRequest{
		Parent:    s.database + "/documents",
		QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: query},
	}
	if !at.IsZero() {
		request.ConsistencySelector = &firestorepb.RunQueryRequest_ReadTime{ReadTime: timestamppb.New(at)}
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream where the visitor does
	defer cancel()
	stream, err := s.client.RunQuery(s.outgoing(ctx), request)
	if err != nil {
		return unavailable("query", err)
	}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unavailable("query", err)
		}
		if d := response.GetDocument(); d != nil {
			if err := visit(d); err != nil {
				return err
			}
		}
	}
}

// query is stream, for few documents.
func (s *Store) query(ctx context.Context, query *firestorepb.StructuredQuery, at time.Time) (documents []*firestorepb.Document, err error) {
	err = s.stream(ctx, query, at, func(d *firestorepb.Document) error {
		documents = append(documents, d)
		return nil
	})
	return documents, err
}

func limit(n int) *wrapperspb.Int32Value { return wrapperspb.Int32(int32(n)) }

// byName queries documents of resources in the order of their names, behind the
// one whose full name is given.
func (s *Store) byName(where *firestorepb.StructuredQuery_Filter, after string) *firestorepb.StructuredQuery {
	query := &firestorepb.StructuredQuery{
		From:  []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: s.prefix + Collection}},
		Where: where,
		OrderBy: []*firestorepb.StructuredQuery_Order{{
			Field:     &firestorepb.StructuredQuery_FieldReference{FieldPath: "__name__"},
			Direction: firestorepb.StructuredQuery_ASCENDING,
		}},
	}
	if after != "" {
		reference := &firestorepb.Value{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: after}}
		query.StartAt = &firestorepb.Cursor{Values: []*firestorepb.Value{reference}, Before: false}
	}
	return query
}
