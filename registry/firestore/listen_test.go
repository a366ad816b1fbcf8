package firestore_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/registry"
)

// realTimeQueries refuses what the service refuses of them, and the emulator
// does not: a projection. The sentence is the service's own, from
// https://github.com/googleapis/google-cloud-go/pull/1320.
func realTimeQueries() grpc.DialOption {
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		stream, err := open(ctx, desc, cc, method, o...)
		return &realTimeStream{ClientStream: stream}, err
	})
}

type realTimeStream struct {
	grpc.ClientStream
	refused bool
}

func (s *realTimeStream) SendMsg(m any) error {
	if request, ok := m.(*firestorepb.ListenRequest); ok && request.GetAddTarget().GetQuery().GetStructuredQuery().GetSelect() != nil {
		s.refused = true
	}
	return s.ClientStream.SendMsg(m)
}

func (s *realTimeStream) RecvMsg(m any) error {
	if s.refused {
		return status.Error(codes.InvalidArgument, "'select' clauses are not supported for real-time queries.")
	}
	return s.ClientStream.RecvMsg(m)
}

func TestListeningLivesByTheServicesRules(t *testing.T) {
	s := open(t, emulatortest.Firestore(t))
	ctx, cancel := context.WithCancel(t.Context())
	notices, ended := make(chan registry.Notice, 10), make(chan error, 1)
	go func() { ended <- s.Listen(ctx, func(n registry.Notice) { notices <- n }) }()
	await := func(what string) registry.Notice {
		t.Helper()
		select {
		case n := <-notices:
			return n
		case err := <-ended:
			require.FailNow(t, "the listener ended", "before %s: %v", what, err)
		case <-time.After(30 * time.Second):
			require.FailNow(t, "nothing was told of "+what)
		}
		return registry.Notice{}
	}
	require.Zero(t, await("its beginning"))
	requireAll(t, registry.Applied, s.Apply(t.Context(), creations("x", 1)))
	move := creations("x", 1)[0]
	move.Entry = registry.Entry{Type: registry.Moved, From: "t_a", To: "t_b", Version: registry.Version{Time: time.Unix(9, 0), Source: "//nexus", ID: "m"}}
	requireAll(t, registry.Applied, s.Apply(t.Context(), []registry.Change{move}))
	require.Equal(t, move.Resource, await("a change").Entries[0].Resource)
	cancel()
	require.ErrorIs(t, <-ended, registry.ErrUnavailable)
}
