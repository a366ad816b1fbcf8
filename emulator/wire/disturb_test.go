package wire_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

func TestADisturbanceBefallsAShareOfTheCallsUntilItIsOver(t *testing.T) {
	f := newFaulty(t)
	f.faults.Disturb(1, wire.Disturbance{Method: "Commit", Share: 0.5, Code: codes.ResourceExhausted})
	failed := 0
	for range 40 {
		if err := f.write("a"); err != nil {
			require.Equal(t, codes.ResourceExhausted, status.Code(err))
			failed++
		}
		require.NoError(t, f.lookUp("a"), "other methods are let alone")
	}
	require.Greater(t, failed, 5)
	require.Less(t, failed, 35)
	require.Equal(t, failed, f.faults.Disturbed())
	f.faults.Disturb(0)
	require.NoError(t, f.write("a"))
	require.Zero(t, f.faults.Disturbed())
}

func TestALateDisturbanceBefallsCallsThatWereCarriedOut(t *testing.T) {
	f := newFaulty(t)
	f.faults.Disturb(1, wire.Disturbance{Method: "Commit", Share: 1, Code: codes.Unavailable, Late: true})
	require.Equal(t, codes.Unavailable, status.Code(f.write("late")))
	f.faults.Disturb(1, wire.Disturbance{Share: 1, Code: codes.Unavailable})
	require.Equal(t, codes.Unavailable, status.Code(f.write("early")))
	f.faults.Disturb(0)
	require.True(t, f.exists("late"))
	require.False(t, f.exists("early"))
}

func TestADisturbanceHoldsCallsUp(t *testing.T) {
	f := newFaulty(t)
	const delay = 100 * time.Millisecond
	f.faults.Disturb(1, wire.Disturbance{Share: 1, Delay: delay})
	begin := time.Now()
	require.NoError(t, f.write("a"))
	require.GreaterOrEqual(t, time.Since(begin), delay)

	f.faults.Disturb(1, wire.Disturbance{Share: 1, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), delay)
	defer cancel()
	_, err := f.client.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: f.name("a")})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
}

func TestAStalledStreamGoesOnWhenTheDisturbanceIsOver(t *testing.T) {
	f := newFaulty(t)
	f.faults.Disturb(1, wire.Disturbance{Method: "BatchGetDocuments", Stall: true})
	answered := make(chan error, 1)
	go func() { answered <- f.lookUp("a") }()
	require.Eventually(t, func() bool { return f.faults.Disturbed() > 0 }, 10*time.Second, time.Millisecond)
	select {
	case err := <-answered:
		require.Fail(t, "it was answered", "%v", err)
	default:
	}
	f.faults.Disturb(0)
	require.NoError(t, <-answered)
}
