package firestoredb

import (
	"context"
	"os"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// connections is the size of the pool: one HTTP/2 connection carries 100 calls
// at once.
const connections = 4

// Pings detect a connection that has died silently, so that no listener on it stays
// deaf and no read waits in vain.
var pings = keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}

// Connection is a pool of connections to Firestore, which any number of databases
// may share. It retries nothing.
type Connection struct {
	client  *apiv1.Client
	options []option.ClientOption // of another client of the same database
}

// Dial makes a connection. Without options it follows FIRESTORE_EMULATOR_HOST, as
// Google's clients do. Its success proves only that there are credentials.
func Dial(ctx context.Context, options []option.ClientOption) (*Connection, error) {
	if len(options) == 0 {
		options = usual()
	}
	client, err := apiv1.NewClient(ctx, options...)
	if err != nil {
		return nil, err
	}
	client.CallOptions.Commit = nil
	client.CallOptions.BatchWrite = nil
	client.CallOptions.BatchGetDocuments = nil
	client.CallOptions.RunQuery = nil
	client.CallOptions.RunAggregationQuery = nil
	client.CallOptions.Listen = nil
	return &Connection{client, options}, nil
}

// Close closes the connections.
func (c *Connection) Close() error { return c.client.Close() }

func usual() []option.ClientOption {
	pool := option.WithGRPCConnectionPool(connections)
	host := os.Getenv("FIRESTORE_EMULATOR_HOST")
	if host == "" {
		return []option.ClientOption{pool, option.WithGRPCDialOption(grpc.WithKeepaliveParams(pings))}
	}
	return []option.ClientOption{
		pool,
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
