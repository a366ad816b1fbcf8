package consumer

import (
	"net"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestTheStreamsOfASubscriptionFetchTogetherWhatMayBeOutstanding(t *testing.T) {
	limits := Limits{Messages: 3000, Bytes: 64 << 20}
	for _, streams := range []int{1, ServiceStreams, EmulatorStreams} {
		for _, subscriptions := range [][]string{{"a"}, {"a", "b", "c"}, make([]string, 20)} {
			p := &PubSub{opts: PubSubOptions{Subscriptions: subscriptions, Streams: streams}}
			each := p.receiveSettings(limits)
			require.Equal(t, streams, each.NumGoroutines)
			require.LessOrEqual(t, each.MaxOutstandingMessages*streams, limits.Messages)
			require.Greater(t, each.MaxOutstandingMessages*streams, limits.Messages*9/10, "the others' streams take nothing away")
			require.LessOrEqual(t, int64(each.MaxOutstandingBytes*streams), limits.Bytes)
		}
	}
	few := (&PubSub{opts: PubSubOptions{Subscriptions: []string{"a", "b"}, Streams: 8}}).receiveSettings(Limits{Messages: 5, Bytes: 5})
	require.Equal(t, 1, few.MaxOutstandingMessages, "0 would be the client's default")
	require.Equal(t, 1, few.MaxOutstandingBytes)
}

func TestConnectionsFollowTheStreams(t *testing.T) {
	for streams, least := range map[int]int{1: 0, 16: 0, 17: 2, 34: 3, 256: 16} {
		o := PubSubOptions{Subscriptions: []string{"a", "b", "c"}, Streams: streams}
		n := o.connections()
		require.GreaterOrEqual(t, n, least, "%d streams", streams)
		if least == 0 {
			require.Zero(t, n, "the client's own number")
			continue
		}
		require.LessOrEqual(t, 3*streams, n*streamsOnConnection, "half of each connection is for acknowledgements")
	}
}

func TestFewStreamsHaveWideWindows(t *testing.T) {
	require.EqualValues(t, 1<<20, PubSubOptions{Streams: ServiceStreams}.window(), "10 MB/s at 100 ms")
	require.EqualValues(t, 256<<10, PubSubOptions{Streams: EmulatorStreams}.window())
	require.EqualValues(t, 256<<10, PubSubOptions{Streams: 256}.window())
}

func TestAStreamThatNobodyReadsBuffersLittle(t *testing.T) {
	const sizeOfEach, most = 16 << 10, 512 << 10 // bytes; the window, and what both ends keep beside it
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	service, server := &eagerService{data: make([]byte, sizeOfEach)}, grpc.NewServer()
	pubsubpb.RegisterSubscriberServer(server, service)
	go func() { _ = server.Serve(listener) }() // ends by Stop
	defer server.Stop()
	client, err := pubsub.NewClient(t.Context(), "p", append(PubSubOptions{Streams: EmulatorStreams}.ClientOptions(),
		option.WithEndpoint(listener.Addr().String()),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))...)
	require.NoError(t, err)
	defer client.Close()
	stream, err := client.SubscriptionAdminClient.StreamingPull(t.Context())
	require.NoError(t, err)
	for read := range int64(10_000) {
		require.Less(t, (service.sent.Load()-read)*sizeOfEach, int64(most), "after %d messages", read)
		_, err := stream.Recv()
		require.NoError(t, err)
	}
}

// eagerService sends as much as the client's windows let through.
type eagerService struct {
	pubsubpb.UnimplementedSubscriberServer
	data []byte
	sent atomic.Int64 // messages
}

func (s *eagerService) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	message := &pubsubpb.StreamingPullResponse{ReceivedMessages: []*pubsubpb.ReceivedMessage{{Message: &pubsubpb.PubsubMessage{Data: s.data}}}}
	for stream.Send(message) == nil {
		s.sent.Add(1)
	}
	return nil
}
