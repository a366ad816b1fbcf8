package crashpoints

import (
	"context"
	"errors"
	"path"

	"google.golang.org/grpc"
)

// calls are the calls that have an effect which outlives the process. That of a lease
// (ModifyAckDeadline) ends by itself.
var calls = map[string]bool{
	"Commit": true, "BatchWrite": true, // Firestore
	"Publish": true, "Acknowledge": true, "Seek": true, // Pub/Sub
	"CreateTopic": true, "UpdateTopic": true, "CreateSubscription": true, "UpdateSubscription": true,
}

// DialOptions make a program that is reached over the connection a process: kill ends
// it, and returns when it has ended.
func (p *Process) DialOptions(kill func()) []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, request, answer any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if !calls[path.Base(method)] {
				return invoke(ctx, method, request, answer, cc, o...)
			}
			err := p.Effect(path.Base(method), func() error {
				return invoke(ctx, method, request, answer, cc, o...)
			})
			if errors.Is(err, ErrKilled) {
				kill()
				return errKilled
			}
			return err
		})}
}
