package rules_test

import (
	"context"
	"testing"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// database is a client that repeats nothing by itself.
type database struct {
	t       *testing.T
	project emulatortest.Project
	client  *apiv1.Client
	name    string
}

// open connects in this process, by dial options.
func open(t *testing.T) *database {
	t.Helper()
	p := emulatortest.Firestore(t)
	return connect(t, p, p.FirestoreOptions()...)
}

// outside connects as another process would, through the proxy.
func outside(t *testing.T, p emulatortest.Project) *database {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+p.FirestoreHost, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	return connect(t, p, option.WithGRPCConn(conn))
}

func connect(t *testing.T, p emulatortest.Project, options ...option.ClientOption) *database {
	t.Helper()
	client, err := apiv1.NewClient(t.Context(), options...)
	require.NoError(t, err)
	client.CallOptions = &apiv1.CallOptions{}
	t.Cleanup(func() { _ = client.Close() })
	return &database{t: t, project: p, client: client, name: "projects/" + p.ID + "/databases/(default)"}
}

func text(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func number(n int) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: int64(n)}}
}

func array(values ...*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: values}}}
}

type fields map[string]*firestorepb.Value

// set writes a document, named by its path.
func (d *database) set(path string, f fields) *firestorepb.Write {
	return &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: d.name + "/documents/" + path, Fields: f}}}
}

func (d *database) commit(writes ...*firestorepb.Write) error {
	_, err := d.client.Commit(d.t.Context(), &firestorepb.CommitRequest{Database: d.name, Writes: writes})
	return err
}

// batch returns the code of each write.
func (d *database) batch(writes ...*firestorepb.Write) []codes.Code {
	d.t.Helper()
	r, err := d.client.BatchWrite(d.t.Context(), &firestorepb.BatchWriteRequest{Database: d.name, Writes: writes})
	require.NoError(d.t, err)
	require.Len(d.t, r.GetWriteResults(), len(writes))
	got := make([]codes.Code, len(writes))
	for i, s := range r.GetStatus() {
		got[i] = codes.Code(s.GetCode())
	}
	return got
}

func from(collection string) *firestorepb.StructuredQuery {
	return &firestorepb.StructuredQuery{From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: collection}}}
}

// run returns how a query ends.
func (d *database) run(q *firestorepb.StructuredQuery, readTime ...time.Time) error {
	request := &firestorepb.RunQueryRequest{Parent: d.name + "/documents", QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q}}
	for _, at := range readTime {
		request.ConsistencySelector = &firestorepb.RunQueryRequest_ReadTime{ReadTime: timestamppb.New(at.Truncate(time.Microsecond))}
	}
	stream, err := d.client.RunQuery(d.t.Context(), request)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// listen returns what a listener says first.
func (d *database) listen(q *firestorepb.StructuredQuery) (firestorepb.Firestore_ListenClient, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	d.t.Cleanup(cancel)
	stream, err := d.client.Listen(metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", d.name))
	require.NoError(d.t, err)
	_ = stream.Send(&firestorepb.ListenRequest{Database: d.name, TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: &firestorepb.Target{
		TargetType: &firestorepb.Target_Query{Query: &firestorepb.Target_QueryTarget{
			Parent: d.name + "/documents", QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: q},
		}},
	}}})
	_, err = stream.Recv()
	return stream, err
}

func requireRefused(t *testing.T, err error, code codes.Code, message string) {
	t.Helper()
	require.Equal(t, code, status.Code(err), err)
	require.Contains(t, status.Convert(err).Message(), message)
}
