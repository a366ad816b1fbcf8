package wire_test

import (
	"context"
	"testing"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// faulty is a client that repeats nothing by itself, with faults and a meter.
type faulty struct {
	t        *testing.T
	client   *apiv1.Client
	database string
	faults   *wire.Faults
	meter    *wire.Meter
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	p := emulatortest.Firestore(t)
	f := &faulty{t: t, faults: wire.NewFaults(), meter: wire.NewMeter(), database: "projects/" + p.ID + "/databases/(default)"}
	var err error
	f.client, err = apiv1.NewClient(t.Context(), p.FirestoreOptions(append(f.faults.DialOptions(), f.meter.DialOptions()...)...)...)
	require.NoError(t, err)
	f.client.CallOptions = &apiv1.CallOptions{}
	t.Cleanup(func() { _ = f.client.Close() })
	return f
}

func (f *faulty) name(id string) string { return f.database + "/documents/c/" + id }

func (f *faulty) write(id string) error {
	_, err := f.client.Commit(f.t.Context(), &firestorepb.CommitRequest{
		Database: f.database,
		Writes:   []*firestorepb.Write{{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: f.name(id)}}}},
	})
	return err
}

func (f *faulty) exists(id string) bool {
	_, err := f.client.GetDocument(f.t.Context(), &firestorepb.GetDocumentRequest{Name: f.name(id)})
	if status.Code(err) == codes.NotFound {
		return false
	}
	require.NoError(f.t, err)
	return true
}

func (f *faulty) lookUp(id string) error {
	stream, err := f.client.BatchGetDocuments(f.t.Context(), &firestorepb.BatchGetDocumentsRequest{Database: f.database, Documents: []string{f.name(id)}})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestACallWhoseAnswerIsLostWasDone(t *testing.T) {
	f := newFaulty(t)
	f.faults.LoseAnswers("Commit", 1)
	require.Equal(t, codes.Unavailable, status.Code(f.write("a")))
	require.True(t, f.exists("a"))
	require.EqualValues(t, 1, f.meter.Writes("c"), "and is billed")
	require.NoError(t, f.write("b"), "the next one is answered")
}

func TestACallThatFailsNeverReachesTheServer(t *testing.T) {
	f := newFaulty(t)
	f.faults.Fail("/google.firestore.v1.Firestore/Commit", codes.ResourceExhausted, 2)
	require.Equal(t, codes.ResourceExhausted, status.Code(f.write("a")))
	require.Equal(t, 1, f.faults.Left())
	require.NoError(t, f.lookUp("a"), "other methods pass")
	require.Equal(t, codes.ResourceExhausted, status.Code(f.write("a")))
	require.False(t, f.exists("a"))
	require.EqualValues(t, 0, f.meter.Calls("Commit"))
	require.NoError(t, f.write("a"))
	require.Equal(t, 0, f.faults.Left())
}

func TestFaultsHitStreamsToo(t *testing.T) {
	f := newFaulty(t)
	f.faults.Fail("BatchGetDocuments", codes.Aborted, 1)
	f.faults.LoseAnswers("BatchGetDocuments", 1)
	require.Equal(t, codes.Aborted, status.Code(f.lookUp("a")))
	require.EqualValues(t, 0, f.meter.Calls("BatchGetDocuments"))
	require.Equal(t, codes.Unavailable, status.Code(f.lookUp("a")))
	require.EqualValues(t, 1, f.meter.Calls("BatchGetDocuments"))
	require.NoError(t, f.lookUp("a"))
}

func TestNothingPassesWhileTheServerIsDown(t *testing.T) {
	f := newFaulty(t)
	ctx, cancel := context.WithTimeout(t.Context(), awaitDone)
	defer cancel()
	// The generated client leaves out what Listen needs to find the database.
	stream, err := f.client.Listen(metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", f.database))
	require.NoError(t, err)
	require.NoError(t, stream.Send(&firestorepb.ListenRequest{
		Database: f.database,
		TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: &firestorepb.Target{
			TargetId:   1,
			TargetType: &firestorepb.Target_Documents{Documents: &firestorepb.Target_DocumentsTarget{Documents: []string{f.name("listened")}}},
		}},
	}))
	_, err = stream.Recv()
	require.NoError(t, err)
	broken := make(chan error)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				broken <- err
				return
			}
		}
	}()

	f.faults.Down(true)
	require.Equal(t, codes.Unavailable, status.Code(<-broken), "an open stream breaks")
	require.Equal(t, codes.Unavailable, status.Code(f.write("a")))
	require.Equal(t, codes.Unavailable, status.Code(f.lookUp("a")))
	require.EqualValues(t, 0, f.meter.Writes(""))

	f.faults.Down(false)
	// The emulator may answer a commit with Canceled if a listener, of
	// anything, has just gone.
	require.Eventually(t, func() bool { return f.write("a") == nil }, awaitDone, 10*time.Millisecond)
	require.NoError(t, f.lookUp("a"))
}
