package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// startTimeout bounds the start: by then a missing backend is reported (design §8
// gives 10 s). While the ledger is read, which may take long, it bounds the time in
// which nothing arrives.
const startTimeout = 9 * time.Second

// registryStore is a registry that also rewrites documents after moves of whole
// tenants, and reports the progress.
type registryStore interface {
	ownership.Store
	ownership.Rewriter
	ownership.LedgerReader
	ownership.Outbox
	exportSource
	WriteSnapshot(ctx context.Context, holder string) (written bool, err error)
	KeepSnapshots(ctx context.Context, holder string)
	LeavePlainSets()
	Held() (epoch string, position int64, ok bool)
	Epoch(ctx context.Context) (e ownership.Epoch, exists bool, err error)
	Recover(ctx context.Context) (before, after ownership.Epoch, err error)
	Knows(ctx context.Context, tenant string) (bool, error)
	PlainSetsOver(ctx context.Context) (time.Time, error)
}

// openStore opens the registry that the configuration names, and never falls back
// to another. The registry has answered when openStore returns. t may be nil. With
// --dry-run no read makes the store write.
func (in *invocation) openStore(ctx context.Context, t *telemetry.Telemetry) (registryStore, error) {
	if in.Config.RegistryBackend == config.Memory {
		return memregistry.New().Open(memregistry.Options{Logger: in.Logger, DeletionHorizon: in.Config.DeletionHorizon}), nil
	}
	ctx, loading := in.loading(ctx)
	defer loading.end()
	o := in.firestoreOptions()
	o.Loading = loading.at
	if t != nil {
		o.MeterProvider, o.TracerProvider = t.MeterProvider, t.TracerProvider
	}
	store, err := bounded(ctx, func(ctx context.Context) (*fsregistry.Store, error) { return fsregistry.Open(ctx, o) })
	if err != nil {
		return nil, in.explainFirestore(loading.ended(ctx, err))
	}
	if in.Config.DryRun {
		store.LeavePlainSets()
	}
	return store, nil
}

func (in *invocation) firestoreOptions() fsregistry.Options {
	return fsregistry.Options{
		ProjectID: in.Config.Project,
		Database:  in.Config.Database,
		Prefix:    in.Config.CollectionPrefix,
		Logger:    in.Logger,

		LedgerRate:      in.ledgerRate,
		DeletionHorizon: in.Config.DeletionHorizon,
		Connection:      in.firestore,
	}
}

// dialFirestore makes the connection that registry and throttle share, unless both
// are in memory.
func (in *invocation) dialFirestore(ctx context.Context) (err error) {
	if in.Config.RegistryBackend == config.Memory && in.Config.ThrottleBackend == config.Memory {
		return nil
	}
	in.firestore, err = bounded(ctx, func(ctx context.Context) (*firestoredb.Connection, error) { return firestoredb.Dial(ctx, nil) })
	if err != nil {
		return in.explainFirestore(err)
	}
	return nil
}

// explainFirestore adds to a fault of Firestore what to do about it.
func (in *invocation) explainFirestore(err error) error {
	return in.explain(err, backend{
		name:     fmt.Sprintf("firestore project %s, database %s", in.Config.Project, in.Config.Database),
		emulator: "FIRESTORE_EMULATOR_HOST",
		service:  "firestore.googleapis.com",
		hint:     "create the database, or name the right --project and --database",
	})
}

// openPubSub returns a client. It finds credentials, but does not call Pub/Sub yet.
func (in *invocation) openPubSub(ctx context.Context) (*pubsub.Client, error) {
	return in.openPubSubFor(ctx, consumer.PubSubOptions{})
}

// openPubSubFor is openPubSub for a transport with these options.
func (in *invocation) openPubSubFor(ctx context.Context, o consumer.PubSubOptions) (*pubsub.Client, error) {
	client, err := bounded(ctx, func(ctx context.Context) (*pubsub.Client, error) {
		return pubsub.NewClient(context.WithoutCancel(ctx), in.Config.Project, o.ClientOptions()...)
	})
	if err != nil {
		return nil, in.explainPubSub(err)
	}
	return client, nil
}

// explainPubSub adds to a fault of Pub/Sub what to do about it.
func (in *invocation) explainPubSub(err error) error {
	return in.explain(err, backend{
		name:     "pub/sub project " + in.Config.Project,
		emulator: "PUBSUB_EMULATOR_HOST",
		service:  "pubsub.googleapis.com",
		hint:     "run `registry-worker provision`, or name the right --project",
	})
}

// onPubSubEmulator reports whether Pub/Sub is the emulator.
func (in *invocation) onPubSubEmulator() bool {
	host, _ := in.LookupEnv(config.PubSubEmulator)
	return host != ""
}

// backend is a service that may be missing.
type backend struct {
	name     string
	emulator string // the variable that names its emulator
	service  string // its host
	hint     string // what to do if it answers NotFound
}

// explain adds to an error which backend it is about and what to do about it.
func (in *invocation) explain(err error, b backend) error {
	emulator, _ := in.LookupEnv(b.emulator)
	answer, answered := status.FromError(err)
	code := answer.Code()
	silent := errors.Is(err, context.DeadlineExceeded) ||
		answered && slices.Contains([]codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Unknown}, code)
	advice := ""
	switch {
	case strings.Contains(err.Error(), "could not find default credentials"):
		advice = fmt.Sprintf("no credentials: run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS, or %s for the emulator", b.emulator)
	case silent && emulator != "":
		advice = fmt.Sprintf("the emulator at %s (%s) does not answer; want host:port of one that runs, or the variable unset", emulator, b.emulator)
	case code == codes.Unimplemented && emulator != "":
		advice = fmt.Sprintf("what answers at %s (%s) is no such emulator", emulator, b.emulator)
	case code == codes.NotFound:
		advice = b.hint
	case code == codes.PermissionDenied:
		advice = "the credentials may not use it, or there is no such project"
	case code == codes.Unauthenticated:
		advice = "the credentials are not valid"
	case silent:
		advice = b.service + " does not answer: look at the network and the credentials"
	}
	if advice == "" {
		return fmt.Errorf("%s: %w", b.name, err)
	}
	return fmt.Errorf("%s: %s: %w", b.name, advice, err)
}

// bounded returns f's result, or an error when ctx ends, even if f ignores ctx:
// Google's clients look for credentials on the network without a bound.
func bounded[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f(ctx)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, status.FromContextError(ctx.Err()).Err()
	}
}
