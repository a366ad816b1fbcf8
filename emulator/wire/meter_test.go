package wire_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

type doc struct{ N int }

// connect returns a client in a project of its own, over the dial options.
func connect(t *testing.T, options ...grpc.DialOption) *firestore.Client {
	t.Helper()
	p := emulatortest.Firestore(t)
	client, err := firestore.NewClient(t.Context(), p.ID, p.FirestoreOptions(options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// metered returns a client, and a meter that counts from after the set-up: three
// documents in the collection c.
func metered(t *testing.T) (*firestore.Client, *wire.Meter) {
	t.Helper()
	meter := wire.NewMeter()
	client := connect(t, meter.DialOptions()...)
	for n := range 3 {
		_, err := client.Collection("c").Doc(fmt.Sprint("d", n)).Set(t.Context(), doc{n})
		require.NoError(t, err)
	}
	meter.Reset()
	return client, meter
}

func TestEachOperationIsBilledAsFirestoreBillsIt(t *testing.T) {
	type counts = map[string]int64
	for _, test := range []struct {
		name string
		do   func(context.Context, *firestore.Client) error
		want wire.Counts
	}{
		{"a lookup reads each document, missing ones too", func(ctx context.Context, client *firestore.Client) error {
			_, err := client.GetAll(ctx, []*firestore.DocumentRef{client.Doc("c/d0"), client.Doc("c/missing"), client.Doc("other/missing")})
			return err
		}, wire.Counts{Reads: counts{"c": 2, "other": 1}, Calls: counts{"BatchGetDocuments": 1}}},

		{"a query reads what it returns", func(ctx context.Context, client *firestore.Client) error {
			_, err := client.Collection("c").Where("N", ">", 0).Documents(ctx).GetAll()
			return err
		}, wire.Counts{Reads: counts{"c": 2}, Calls: counts{"RunQuery": 1}}},

		{"a query that returns nothing reads once", func(ctx context.Context, client *firestore.Client) error {
			_, err := client.Collection("c").Where("N", ">", 9).Documents(ctx).GetAll()
			return err
		}, wire.Counts{Reads: counts{"c": 1}, Calls: counts{"RunQuery": 1}}},

		{"counting reads once per 1,000", func(ctx context.Context, client *firestore.Client) error {
			_, err := client.Collection("c").NewAggregationQuery().WithCount("all").Get(ctx)
			return err
		}, wire.Counts{Reads: counts{"c": 1}, Calls: counts{"RunAggregationQuery": 1}}},

		{"a commit writes each document, and deletes are apart", func(ctx context.Context, client *firestore.Client) error {
			return client.RunTransaction(ctx, func(_ context.Context, tx *firestore.Transaction) error {
				return firstError(
					tx.Set(client.Doc("c/d0"), doc{10}),
					tx.Create(client.Doc("nested/in/deep/d"), doc{11}),
					tx.Delete(client.Doc("c/d1")))
			})
		}, wire.Counts{
			Writes:  counts{"c": 1, "nested/in/deep": 1},
			Deletes: counts{"c": 1},
			Calls:   counts{"BeginTransaction": 1, "Commit": 1},
		}},

		{"a write whose precondition fails is a write", func(ctx context.Context, client *firestore.Client) error {
			_, err := client.Doc("c/d0").Create(ctx, doc{10})
			return expect(codes.AlreadyExists, err)
		}, wire.Counts{Writes: counts{"c": 1}, Calls: counts{"Commit": 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, meter := metered(t)
			require.NoError(t, test.do(t.Context(), client))
			require.Equal(t, test.want, meter.Counts())
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func expect(code codes.Code, err error) error {
	if status.Code(err) != code {
		return fmt.Errorf("want %v, got %w", code, err)
	}
	return nil
}

func TestBatchWritesAreBilledWhetherTheySucceedOrNot(t *testing.T) {
	p := emulatortest.Firestore(t)
	meter := wire.NewMeter()
	client, err := apiv1.NewClient(t.Context(), p.FirestoreOptions(meter.DialOptions()...)...)
	require.NoError(t, err)
	defer func() { _ = client.Close() }()

	database := "projects/" + p.ID + "/databases/(default)"
	create := func(id string) *firestorepb.Write {
		return &firestorepb.Write{
			Operation:       &firestorepb.Write_Update{Update: &firestorepb.Document{Name: database + "/documents/c/" + id}},
			CurrentDocument: &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}},
		}
	}
	for _, ids := range [][]string{{"a"}, {"a", "b"}} { // the second "a" exists
		writes := make([]*firestorepb.Write, len(ids))
		for i, id := range ids {
			writes[i] = create(id)
		}
		_, err = client.BatchWrite(t.Context(), &firestorepb.BatchWriteRequest{Database: database, Writes: writes})
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, meter.Writes("c"))
	require.EqualValues(t, 0, meter.Reads(""))

	_, err = client.GetDocument(t.Context(), &firestorepb.GetDocumentRequest{Name: database + "/documents/c/missing"})
	require.Equal(t, codes.NotFound, status.Code(err))
	require.EqualValues(t, 1, meter.Reads("c"))
}

func TestCountingReadsOncePerThousandEntries(t *testing.T) {
	client, meter := metered(t)
	writes := client.BulkWriter(t.Context())
	for range 1001 {
		_, err := writes.Create(client.Collection("many").NewDoc(), doc{})
		require.NoError(t, err)
	}
	writes.End()
	_, err := client.Collection("many").NewAggregationQuery().WithCount("all").Get(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, meter.Reads("many"))
}

func TestAListenerReadsEachChange(t *testing.T) {
	client, meter := metered(t)
	changes := client.Collection("c").Snapshots(t.Context())
	defer changes.Stop()
	_, err := changes.Next()
	require.NoError(t, err)
	require.EqualValues(t, 3, meter.Reads("c"), "the three that are there")

	_, err = client.Doc("c/d0").Set(t.Context(), doc{10})
	require.NoError(t, err)
	_, err = changes.Next()
	require.NoError(t, err)
	require.EqualValues(t, 4, meter.Reads("c"), "the one that changed")

	_, err = client.Doc("c/d1").Delete(t.Context())
	require.NoError(t, err)
	_, err = changes.Next()
	require.NoError(t, err)
	require.EqualValues(t, 4, meter.Reads("c"), "one that is deleted is not read")
}

func TestCountsAreTakenApartByTimeAndByCollection(t *testing.T) {
	client, meter := metered(t)
	set := func(path string) {
		_, err := client.Doc(path).Set(t.Context(), doc{})
		require.NoError(t, err)
	}
	set("c/d0")
	before := meter.Counts()
	set("c/d1")
	set("other/d")
	require.EqualValues(t, 3, meter.Writes(""))
	require.EqualValues(t, 2, meter.Writes("c"))
	require.EqualValues(t, 0, meter.Writes("cc"), "names match whole")
	require.EqualValues(t, 3, meter.Calls("Commit"))
	require.Equal(t, map[string]int64{"c": 1, "other": 1}, meter.Counts().Since(before).Writes)
	require.Empty(t, meter.Counts().Since(before).Reads)
}

// awaitDone gives a call the time that it may take on a busy machine.
const awaitDone = 20 * time.Second
