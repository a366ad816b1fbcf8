package firestoredb

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Get implements docdb.DB. It is a BatchGetDocuments, since a GetDocument does not
// return the time of the read.
func (db *DB) Get(ctx context.Context, names []string) (map[string]*docdb.Document, time.Time, error) {
	names = distinct(names)                // Firestore answers once for a name that is there twice
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	stream, err := db.client.BatchGetDocuments(db.outgoing(ctx), &firestorepb.BatchGetDocumentsRequest{
		Database:  db.database,
		Documents: names,
	})
	found, at := make(map[string]*docdb.Document, len(names)), time.Time{}
	for answers := 0; err == nil; answers++ {
		var response *firestorepb.BatchGetDocumentsResponse
		if response, err = stream.Recv(); err == nil {
			if d := response.GetFound(); d != nil {
				found[d.Name] = d
			}
			at = response.ReadTime.AsTime()
		} else if errors.Is(err, io.EOF) {
			if answers == len(names) {
				return found, at, nil
			}
			err = status.Errorf(codes.DataLoss, "%d answers for %d documents", answers, len(names))
		}
	}
	return nil, time.Time{}, err
}

// distinct returns the names, each once.
func distinct(names []string) []string {
	if len(names) < 2 {
		return names
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Query implements docdb.DB.
func (db *DB) Query(ctx context.Context, q docdb.Query, visit func(*docdb.Document) error) error {
	request := &firestorepb.RunQueryRequest{
		Parent:    db.root(),
		QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: db.structured(q)},
	}
	if !q.At.IsZero() {
		request.ConsistencySelector = &firestorepb.RunQueryRequest_ReadTime{ReadTime: timestamppb.New(q.At)}
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream if the visitor does
	defer cancel()
	stream, err := db.client.RunQuery(db.outgoing(ctx), request)
	for err == nil {
		var response *firestorepb.RunQueryResponse
		if response, err = stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		}
		if d := response.GetDocument(); d != nil {
			if err := visit(d); err != nil {
				return err
			}
		}
	}
	return err
}

// Count implements docdb.DB. One read is billed for up to 1,000 documents.
func (db *DB) Count(ctx context.Context, q docdb.Query) (int64, error) {
	found, err := db.aggregate(ctx, q, countAll)
	return found[countAll.Alias].GetIntegerValue(), err
}

// Sum implements docdb.DB. One read is billed for up to 1,000 documents.
func (db *DB) Sum(ctx context.Context, q docdb.Query, of string) (n, sum int64, err error) {
	total := &aggregation{
		Alias: "sum",
		Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Sum_{
			Sum: &firestorepb.StructuredAggregationQuery_Aggregation_Sum{Field: field(of)}},
	}
	found, err := db.aggregate(ctx, q, countAll, total)
	return found[countAll.Alias].GetIntegerValue(), found[total.Alias].GetIntegerValue(), err
}

type aggregation = firestorepb.StructuredAggregationQuery_Aggregation

var countAll = &aggregation{
	Alias:    "n",
	Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Count_{Count: &firestorepb.StructuredAggregationQuery_Aggregation_Count{}},
}

// aggregate returns what is asked for of the documents that a query finds, by alias.
func (db *DB) aggregate(ctx context.Context, q docdb.Query, asked ...*aggregation) (map[string]*docdb.Value, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	request := &firestorepb.RunAggregationQueryRequest{
		Parent: db.root(),
		QueryType: &firestorepb.RunAggregationQueryRequest_StructuredAggregationQuery{
			StructuredAggregationQuery: &firestorepb.StructuredAggregationQuery{
				QueryType:    &firestorepb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: db.structured(q)},
				Aggregations: asked,
			}},
	}
	if !q.At.IsZero() {
		request.ConsistencySelector = &firestorepb.RunAggregationQueryRequest_ReadTime{ReadTime: timestamppb.New(q.At)}
	}
	stream, err := db.client.RunAggregationQuery(db.outgoing(ctx), request)
	if err != nil {
		return nil, err
	}
	response, err := stream.Recv()
	return response.GetResult().GetAggregateFields(), err
}

// Recovers implements docdb.DB. It takes the permission
// datastore.databases.getMetadata
// (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.admin.v1#getdatabaserequest).
// The emulator, which has no such method, answers reads of any age.
func (db *DB) Recovers(ctx context.Context) (bool, error) {
	client, err := admin.NewFirestoreAdminClient(ctx, db.options...)
	if err != nil {
		return false, err
	}
	defer client.Close()
	database, err := client.GetDatabase(ctx, &adminpb.GetDatabaseRequest{Name: db.database})
	if status.Code(err) == codes.Unimplemented {
		return false, nil
	}
	return database.GetPointInTimeRecoveryEnablement() == adminpb.Database_POINT_IN_TIME_RECOVERY_ENABLED, err
}

// structured is a query as the wire has it.
func (db *DB) structured(q docdb.Query) *firestorepb.StructuredQuery {
	s := &firestorepb.StructuredQuery{
		From:  []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: db.prefix + q.Collection}},
		Where: where(q),
	}
	by := q.OrderBy
	if by == "" {
		by = "__name__"
	}
	s.OrderBy = []*firestorepb.StructuredQuery_Order{{Field: field(by), Direction: firestorepb.StructuredQuery_ASCENDING}}
	if q.After != "" {
		reference := &docdb.Value{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: q.After}}
		s.StartAt = &firestorepb.Cursor{Values: []*docdb.Value{reference}, Before: false}
	}
	if q.UpTo != "" {
		reference := &docdb.Value{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: q.UpTo}}
		s.EndAt = &firestorepb.Cursor{Values: []*docdb.Value{reference}, Before: false}
	}
	if q.Limit > 0 {
		s.Limit = wrapperspb.Int32(int32(q.Limit))
	}
	if q.Select != nil {
		s.Select = &firestorepb.StructuredQuery_Projection{}
		for _, name := range q.Select {
			s.Select.Fields = append(s.Select.Fields, field(name))
		}
	}
	return s
}

var operators = map[docdb.Op]firestorepb.StructuredQuery_FieldFilter_Operator{
	docdb.Equal:    firestorepb.StructuredQuery_FieldFilter_EQUAL,
	docdb.Greater:  firestorepb.StructuredQuery_FieldFilter_GREATER_THAN,
	docdb.AtLeast:  firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL,
	docdb.Less:     firestorepb.StructuredQuery_FieldFilter_LESS_THAN,
	docdb.Contains: firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS,
	docdb.In:       firestorepb.StructuredQuery_FieldFilter_IN,
}

func where(q docdb.Query) *firestorepb.StructuredQuery_Filter {
	all := filters(q.All)
	if any := filters(q.Any); len(any) > 0 {
		all = append(all, composite(firestorepb.StructuredQuery_CompositeFilter_OR, any))
	}
	if len(all) == 0 {
		return nil
	}
	return composite(firestorepb.StructuredQuery_CompositeFilter_AND, all)
}

func filters(of []docdb.Filter) (all []*firestorepb.StructuredQuery_Filter) {
	for _, f := range of {
		all = append(all, &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
			FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: field(f.Field), Op: operators[f.Op], Value: f.Value}}})
	}
	return all
}

func composite(op firestorepb.StructuredQuery_CompositeFilter_Operator, all []*firestorepb.StructuredQuery_Filter) *firestorepb.StructuredQuery_Filter {
	if len(all) == 1 {
		return all[0]
	}
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{
		CompositeFilter: &firestorepb.StructuredQuery_CompositeFilter{Op: op, Filters: all}}}
}

func field(path string) *firestorepb.StructuredQuery_FieldReference {
	return &firestorepb.StructuredQuery_FieldReference{FieldPath: path}
}
