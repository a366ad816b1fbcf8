package firestore

import (
	"context"
	"os"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// connections is the size of the pool: one HTTP/2 connection carries 100 calls
// at once.
const connections = 4

// newClient returns the client of the service's own interface: the one that
// has BatchWrite with preconditions.
func newClient(ctx context.Context, options []option.ClientOption) (*apiv1.Client, error) {
	if len(options) == 0 {
		options = append(emulatorOptions(), option.WithGRPCConnectionPool(connections))
	}
	client, err := apiv1.NewClient(ctx, options...)
	if err != nil {
		return nil, err
	}
	// A write that is repeated by the transport meets itself: whether to repeat
	// is decided after reading. And reads are repeated by who asked, if at all.
	client.CallOptions.Commit = nil
	client.CallOptions.BatchWrite = nil
	client.CallOptions.BatchGetDocuments = nil
	client.CallOptions.RunQuery = nil
	client.CallOptions.RunAggregationQuery = nil
	return client, nil
}

// emulatorOptions follows FIRESTORE_EMULATOR_HOST as Google's clients do.
func emulatorOptions() []option.ClientOption {
	host := os.Getenv("FIRESTORE_EMULATOR_HOST")
	if host == "" {
		return nil
	}
	return []option.ClientOption{
		option.WithEndpoint(host),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		option.WithGRPCDialOption(grpc.WithPerRPCCredentials(emulatorOwner{})),
	}
}

// emulatorOwner makes the emulator skip security rules.
type emulatorOwner struct{}

func (emulatorOwner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (emulatorOwner) RequireTransportSecurity() bool { return false }
