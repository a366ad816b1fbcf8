package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

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
