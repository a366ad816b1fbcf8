package emulator

import (
	"context"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// An emulator listens before it serves, so only an answer shows that it is ready.

func firestoreReady(ctx context.Context, host string) error {
	conn, err := dial(host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := firestorepb.NewFirestoreClient(conn)
	return untilAnswered(ctx, func() error {
		name := "projects/" + readyProject + "/databases/(default)/documents/ready/ready"
		_, err := client.GetDocument(ctx, &firestorepb.GetDocumentRequest{Name: name}, grpc.WaitForReady(true))
		if status.Code(err) == codes.NotFound {
			return nil
		}
		return err
	})
}

func pubsubReady(ctx context.Context, host string) error {
	conn, err := dial(host)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := pubsubpb.NewPublisherClient(conn)
	return untilAnswered(ctx, func() error {
		_, err := client.ListTopics(ctx, &pubsubpb.ListTopicsRequest{Project: "projects/" + readyProject}, grpc.WaitForReady(true))
		return err
	})
}

// readyProject is used only here: the ids of tests have a random part.
const readyProject = "emulator-ready"

// untilAnswered calls until the emulator answers. Unimplemented is the answer of another
// server, which took the port before the emulator did: the emulator soon says so.
func untilAnswered(ctx context.Context, call func() error) error {
	for {
		err := call()
		if code := status.Code(err); code != codes.Unavailable && code != codes.Unimplemented || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func dial(host string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, Jitter: 0.1, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
}
