package rules_test

import (
	"context"
	"fmt"
	"strings"
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

func TestAListenerThatSelectsFieldsIsRefusedHoweverItComesIn(t *testing.T) {
	inside := open(t)
	for _, d := range []*database{inside, outside(t, inside.project)} {
		q := from("c")
		_, err := d.listen(q)
		require.NoError(t, err)
		q.Select = &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{{FieldPath: "a"}}}
		_, err = d.listen(q)
		requireRefused(t, err, codes.InvalidArgument, "'select' clauses are not supported for real-time queries.")
		require.NotEqual(t, codes.InvalidArgument, status.Code(d.run(q)), "a query that ends may select")
	}
}

func TestReadsGoBackOneHourOrByWholeMinutesWithPointInTimeRecovery(t *testing.T) {
	d := open(t)
	// The emulator has no such past, and says so in its own words.
	refused := func(at time.Time) bool {
		err := d.run(from("c"), at)
		return status.Code(err) == codes.FailedPrecondition && strings.Contains(err.Error(), "snapshot version is too old")
	}
	now := time.Now()
	minute := now.Add(-2 * time.Hour).Truncate(time.Minute)
	require.False(t, refused(now.Add(-59*time.Minute)))
	require.True(t, refused(now.Add(-61*time.Minute)))
	require.True(t, refused(minute))
	d.project.FirestoreRules.PointInTimeRecovery(true)
	require.False(t, refused(minute))
	require.True(t, refused(minute.Add(time.Second)), "no whole minute")
	require.True(t, refused(now.Add(-8*24*time.Hour).Truncate(time.Minute)))
	_, err := d.client.BeginTransaction(t.Context(), &firestorepb.BeginTransactionRequest{Database: d.name, Options: &firestorepb.TransactionOptions{
		Mode: &firestorepb.TransactionOptions_ReadOnly_{ReadOnly: &firestorepb.TransactionOptions_ReadOnly{
			ConsistencySelector: &firestorepb.TransactionOptions_ReadOnly_ReadTime{ReadTime: timestamppb.New(minute.Add(time.Second))},
		}},
	}})
	requireRefused(t, err, codes.FailedPrecondition, "too old")
}

func TestRequestsAboveTenMebibytesAreRefused(t *testing.T) {
	d := open(t)
	var writes []*firestorepb.Write
	for i := range 11 {
		writes = append(writes, d.set("c/d"+string(rune('a'+i)), fields{"f": text(strings.Repeat("x", 1_000_000))}))
	}
	requireRefused(t, d.commit(writes...), codes.InvalidArgument, "Request payload size exceeds the limit: 10485760 bytes.")
}

func TestDocumentsAboveOneMebibyteAreRefusedOneByOneInABatch(t *testing.T) {
	d := open(t)
	large := d.set("c/large", fields{"f": text(strings.Repeat("x", 600_000)), "g": text(strings.Repeat("x", 500_000))})
	requireRefused(t, d.commit(large), codes.InvalidArgument, "maximum allowed size of 1,048,576 bytes")
	require.Equal(t, []codes.Code{codes.OK, codes.InvalidArgument, codes.OK}, d.batch(d.set("c/a", nil), large, d.set("c/b", nil)))
}

func TestFortyThousandIndexEntriesAreTheMost(t *testing.T) {
	d := open(t)
	var elements []*firestorepb.Value
	for i := range 40_001 {
		elements = append(elements, number(i))
	}
	require.NoError(t, d.commit(d.set("c/d", fields{"f": array(elements[1:]...)})))
	requireRefused(t, d.commit(d.set("c/d", fields{"f": array(elements...)})), codes.InvalidArgument, "too many index entries")
	require.NoError(t, d.commit(d.set("x_realtime_registry/d", fields{"ledger": array(elements...)})), "an exempt field has none")
	requireRefused(t, d.commit(d.set("x_realtime_registry/d", fields{"path": array(elements...)})), codes.InvalidArgument, "too many index entries")
}

func TestADocumentThatIsWrittenTooFastAnswersSlowerAndSlowerAndThenAborts(t *testing.T) {
	d := open(t)
	d.project.FirestoreRules.WriteRate(10, 2)
	answers := make(chan error, 40)
	begin := time.Now()
	for range cap(answers) {
		go func() { answers <- d.commit(d.set("c/hot", nil)) }()
	}
	var last time.Duration
	written := 0
	for range cap(answers) {
		if err := <-answers; err != nil {
			requireRefused(t, err, codes.Aborted, "Too much contention on these documents.")
			continue
		}
		written++
		last = time.Since(begin)
	}
	require.InDelta(t, 22, written, 1, "two at once, and ten a second for two seconds")
	require.Greater(t, last, 1500*time.Millisecond)
	require.NoError(t, d.commit(d.set("c/cold", nil)))
}

func TestAHotDocumentAbortsItsOwnWriteOfABatchOnly(t *testing.T) {
	d := open(t)
	d.project.FirestoreRules.WriteRate(0.1, 1)
	require.NoError(t, d.commit(d.set("c/hot", nil)))
	require.Equal(t, []codes.Code{codes.OK, codes.Aborted, codes.OK}, d.batch(d.set("c/a", nil), d.set("c/hot", nil), d.set("c/b", nil)))
}

func TestAWriteThatFailsUsesNothingUp(t *testing.T) {
	d := open(t)
	d.project.FirestoreRules.WriteRate(0.1, 2)
	require.NoError(t, d.commit(d.set("c/d", nil)))
	create := d.set("c/d", nil)
	create.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
	for range 5 {
		require.Equal(t, codes.AlreadyExists, status.Code(d.commit(create)))
		require.Equal(t, []codes.Code{codes.AlreadyExists}, d.batch(create))
	}
	require.NoError(t, d.commit(d.set("c/d", nil)))
}

func TestFailuresOnDemandAreForReadsAndWritesApart(t *testing.T) {
	d := open(t)
	listener, err := d.listen(from("c"))
	require.NoError(t, err)
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.Unavailable, codes.PermissionDenied} {
		d.project.FirestoreRules.FailWrites(code)
		require.Equal(t, code, status.Code(d.commit(d.set("c/d", nil))))
		require.NotEqual(t, code, status.Code(d.run(from("c"))))
	}
	d.project.FirestoreRules.FailWrites(codes.OK)
	require.NoError(t, d.commit(d.set("c/d", nil)))

	d.project.FirestoreRules.FailReads(codes.PermissionDenied)
	require.NoError(t, d.commit(d.set("c/d", nil)))
	require.Equal(t, codes.PermissionDenied, status.Code(d.run(from("c"))))
	for err = nil; err == nil; {
		_, err = listener.Recv()
	}
	require.Equal(t, codes.PermissionDenied, status.Code(err), "an open listener ends")
	d.project.FirestoreRules.FailReads(codes.OK)
	require.NoError(t, d.run(from("c")))
}

func TestADistanceIsARoundTripForCallsAndForStreams(t *testing.T) {
	const roundTrip = 200 * time.Millisecond
	inside := open(t)
	require.NoError(t, inside.commit(inside.set("c/d", nil)))
	inside.project.FirestoreRules.Distance(roundTrip)
	for _, d := range []*database{inside, outside(t, inside.project)} {
		begin := time.Now()
		require.NoError(t, d.commit(d.set("c/d", nil)))
		require.GreaterOrEqual(t, time.Since(begin), roundTrip)
		begin = time.Now()
		require.NoError(t, d.run(from("c")))
		require.GreaterOrEqual(t, time.Since(begin), roundTrip)
		begin = time.Now()
		_, err := d.listen(from("c"))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(begin), roundTrip)
	}
}

func TestTheMeterCountsWhatComesInWhicheverWay(t *testing.T) {
	inside := open(t)
	for _, d := range []*database{inside, outside(t, inside.project)} {
		require.NoError(t, d.commit(d.set("c/d", nil)))
	}
	require.EqualValues(t, 2, inside.project.FirestoreRules.Meter().Writes("c"))
}

func TestTheReportNamesHotDocumentsWhateverTheRateIs(t *testing.T) {
	d := open(t)
	d.project.FirestoreRules.WriteRate(0, 0)
	for n := 0; len(d.project.FirestoreRules.Report().Documents) == 0; n++ {
		require.Less(t, n, 10_000)
		d.batch(d.set("c/hot", nil), d.set(fmt.Sprint("c/", n), nil))
	}
	report := d.project.FirestoreRules.Report()
	require.Len(t, report.Documents, 1)
	require.Equal(t, "c/hot", report.Documents[0].Name)
	require.Positive(t, report.Documents[0].PerSecond)
}
