package pubsubadmin_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// slow takes longer for each answer, and has no more after the last.
type slow struct {
	pubsubpb.UnimplementedSubscriberServer
	takes []time.Duration
	n     atomic.Int64
}

func (s *slow) GetSubscription(context.Context, *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	return &pubsubpb.Subscription{}, nil
}

func (s *slow) Pull(ctx context.Context, _ *pubsubpb.PullRequest) (*pubsubpb.PullResponse, error) {
	i := int(s.n.Add(1)) - 1
	if i >= len(s.takes) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.takes[i]):
		return &pubsubpb.PullResponse{ReceivedMessages: []*pubsubpb.ReceivedMessage{
			{AckId: fmt.Sprint(i), Message: &pubsubpb.PubsubMessage{MessageId: fmt.Sprint(i)}},
		}}, nil
	}
}

func (s *slow) ModifyAckDeadline(context.Context, *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func TestLettersThatComeEverMoreSlowlyAreAllSeen(t *testing.T) {
	t.Parallel() // it waits
	service, server := &slow{takes: []time.Duration{0, 800 * time.Millisecond, 1600 * time.Millisecond}}, grpc.NewServer()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	pubsubpb.RegisterSubscriberServer(server, service)
	go func() { _ = server.Serve(listener) }() // ends by Stop
	defer server.Stop()
	client, err := pubsub.NewClient(t.Context(), "p", option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	require.NoError(t, err)
	defer client.Close()
	letters, _, err := admin.ListDeadLetters(t.Context(), client, "letters", admin.Selection{Idle: time.Second})
	require.NoError(t, err)
	require.Len(t, letters, len(service.takes))
}
