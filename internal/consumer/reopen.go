package consumer

import (
	"context"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reopen has Pub/Sub's client open a stream anew after each error that passes. After
// some of them the client would give up, and Receive would end with acknowledgements
// that were not sent, and its other streams with it. So it sees UNAVAILABLE in their
// place, after which it pauses and goes on. A Monitor sees the error itself, and Ready
// fails if no stream lasts.
func reopen(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, cc, method, opts...)
	if method != pubsubpb.Subscriber_StreamingPull_FullMethodName {
		return stream, err
	}
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return reopened{stream, ctx}, nil
}

// reopened is a stream whose errors that pass are UNAVAILABLE.
type reopened struct {
	grpc.ClientStream
	ctx context.Context
}

func (s reopened) RecvMsg(m any) error { return unavailable(s.ctx, s.ClientStream.RecvMsg(m)) }

// unavailable returns UNAVAILABLE for an error that the other side sends and that is to
// be tried again, by https://cloud.google.com/pubsub/docs/reference/error-codes, and
// other errors as they are. CANCELLED is what proxies and the service send now and then
// (https://github.com/googleapis/nodejs-pubsub/issues/979). The text of the error is left
// out, since the client gives up at one of UNAVAILABLE's (defaultRetryer).
func unavailable(ctx context.Context, err error) error {
	s, ok := status.FromError(err)
	if !ok || ctx.Err() != nil { // it is the end of the stream, or this side has cancelled it
		return err
	}
	switch s.Code() {
	case codes.Canceled, codes.Unknown, codes.Unavailable, codes.ResourceExhausted:
		return status.Error(codes.Unavailable, "the stream ended with "+s.Code().String())
	}
	return err
}
