package consumer

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// cancelling ends the first streams with a status, and delivers a message on the others.
type cancelling struct {
	pubsubpb.UnimplementedSubscriberServer
	code   codes.Code
	left   atomic.Int64 // streams to end
	opened atomic.Int64
}

func (s *cancelling) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	s.opened.Add(1)
	if s.left.Add(-1) >= 0 {
		return status.Error(s.code, "not ours")
	}
	if err := stream.Send(&pubsubpb.StreamingPullResponse{ReceivedMessages: []*pubsubpb.ReceivedMessage{
		{AckId: "1", Message: &pubsubpb.PubsubMessage{MessageId: "1", Data: []byte("x")}},
	}}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (s *cancelling) Acknowledge(context.Context, *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (s *cancelling) ModifyAckDeadline(context.Context, *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// receiving receives from the service until a message has come, or receiving ends.
func receiving(t *testing.T, service *cancelling) (messages int64, err error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pubsubpb.RegisterSubscriberServer(server, service)
	go func() { _ = server.Serve(listener) }() // ends by Stop
	defer server.Stop()
	client, err := pubsub.NewClient(t.Context(), "p", option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	require.NoError(t, err)
	defer client.Close()
	p := &PubSub{client: client, opts: PubSubOptions{Subscriptions: []string{"a"}, Streams: 1, LookInterval: time.Hour}.withDefaults(), looked: newLooked()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var n atomic.Int64
	err = p.Receive(ctx, Limits{Messages: 10, Bytes: 1 << 20}, func(_ context.Context, m Message) {
		n.Add(1)
		m.Settler.Ack()
		cancel()
	})
	return n.Load(), err
}

func TestAStreamThatTheOtherSideCancelsIsOpenedAgain(t *testing.T) {
	service := &cancelling{code: codes.Canceled}
	service.left.Store(3)
	messages, err := receiving(t, service)
	require.NoError(t, err)
	require.EqualValues(t, 1, messages)
	require.EqualValues(t, 4, service.opened.Load())
}

func TestAStreamThatIsRefusedEndsReceiving(t *testing.T) {
	service := &cancelling{code: codes.PermissionDenied}
	service.left.Store(100)
	messages, err := receiving(t, service)
	require.ErrorContains(t, err, "subscription a: ")
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.Zero(t, messages)
}
