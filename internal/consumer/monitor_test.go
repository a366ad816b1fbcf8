package consumer

import (
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

func TestACallThatFailsConfirmsNoAcknowledgement(t *testing.T) {
	for name, c := range map[string]struct {
		end   error
		ready bool
	}{
		"it is answered":    {nil, true},
		"it fails":          {status.Error(codes.Unavailable, "gone"), false},
		"it is refused":     {status.Error(codes.PermissionDenied, "no"), false},
		"it ends by itself": {status.Error(codes.DeadlineExceeded, "late"), false},
	} {
		t.Run(name, func(t *testing.T) {
			monitor, now := NewMonitor(), time.Now()
			contact := newContact([]string{one}, 30*time.Second, now)
			monitor.contact.Store(contact)
			contact.acking(one, now.Add(-time.Minute))

			seen := observer{monitor}
			ctx := seen.TagRPC(t.Context(), &stats.RPCTagInfo{FullMethodName: pubsubpb.Subscriber_Acknowledge_FullMethodName})
			seen.HandleRPC(ctx, &stats.OutPayload{Payload: &pubsubpb.AcknowledgeRequest{Subscription: one, AckIds: []string{"x"}}})
			require.ErrorContains(t, contact.ready(now), "with 1 unconfirmed", "it is under way")
			seen.HandleRPC(ctx, &stats.End{Error: c.end})
			if c.ready {
				require.NoError(t, contact.ready(now))
			} else {
				require.ErrorContains(t, contact.ready(now), "Pub/Sub has confirmed no acknowledgement for 1m0s")
			}
		})
	}
}

// gRPC reads and writes side by side: the answer on a stream may be told of before the
// request that opened it.
func TestAnAnswerThatIsToldOfBeforeItsRequestCounts(t *testing.T) {
	monitor, began := NewMonitor(), time.Now()
	contact := newContact([]string{one}, 30*time.Second, began)
	monitor.contact.Store(contact)
	seen := observer{monitor}
	ctx := seen.TagRPC(t.Context(), &stats.RPCTagInfo{FullMethodName: pubsubpb.Subscriber_StreamingPull_FullMethodName})
	seen.HandleRPC(ctx, &stats.InHeader{})
	seen.HandleRPC(ctx, &stats.OutPayload{Payload: &pubsubpb.StreamingPullRequest{Subscription: one}})
	require.Equal(t, 1, contact.states(time.Now())[one].streams)
}
