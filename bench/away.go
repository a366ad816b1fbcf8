package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/northstar-engines/realtime-registry/deploy"
	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
)

// away is the emulators behind the rules of the services, and at a distance.
type away struct {
	firestore *rules.Firestore
	pubsub    *rules.PubSub
}

func newAway(e *emulator.Emulators, roundTrip time.Duration) (*away, error) {
	indexes, err := rules.ParseIndexes(deploy.FirestoreIndexes)
	if err != nil {
		return nil, err
	}
	f, err := rules.NewFirestore(e.Firestore.Host, indexes)
	if err != nil {
		return nil, err
	}
	p, err := rules.NewPubSub(e.PubSub.Host)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.Distance(roundTrip)
	p.Distance(roundTrip)
	return &away{f, p}, nil
}

func (a *away) close() error { return errors.Join(a.firestore.Close(), a.pubsub.Close()) }

// environ is where a contender finds them.
func (a *away) environ() []string {
	return []string{"FIRESTORE_EMULATOR_HOST=" + a.firestore.Addr(), "PUBSUB_EMULATOR_HOST=" + a.pubsub.Addr()}
}

// options connect a store of this process to Firestore, with as many connections
// as it has to the service.
func (a *away) options() []option.ClientOption {
	options := []option.ClientOption{
		option.WithEndpoint("passthrough:///" + a.firestore.Target()), option.WithoutAuthentication(), option.WithGRPCConnectionPool(4),
	}
	for _, o := range append(a.firestore.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(owner{})) {
		options = append(options, option.WithGRPCDialOption(o))
	}
	return options
}

// owner makes the emulator skip security rules.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// far returns a distance as the tables call it.
func far(roundTrip time.Duration) string {
	if roundTrip == 0 {
		return "beside"
	}
	return fmt.Sprintf("%v away", roundTrip)
}
