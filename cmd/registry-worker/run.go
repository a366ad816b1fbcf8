package main

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
)

var runCommand = command{
	Name:    "run",
	Summary: "consume the subscriptions into the registry until SIGTERM",
	Details: "Applies events to the registry, and publishes what it refuses to the dead-letter\n" +
		"topic. On SIGTERM it finishes what it has received, for at most --drain-timeout, nacks\n" +
		"the rest, and exits with 0. Health is at /livez, /readyz, /metrics and /version. With\n" +
		"--api it also answers access checks and claims, as serve does, and has the page\n" +
		"/console. It goes on with that even if its subscriptions are gone: /readyz/api and\n" +
		"/readyz/worker tell them apart.\n\n" +
		"After a move of a whole tenant it rewrites the documents for their direct readers, one\n" +
		"worker at a time, at --rate.\n\n" +
		"Any number of workers may run side by side.",
	Examples: []string{
		"registry-worker run --project my-project",
		"registry-worker run --project my-project --api",
	},
	Groups: []config.Group{
		config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.ClaimsGroup, config.EventsGroup, config.DeletionGroup, config.RunGroup,
		config.RateGroup, config.WorkerGroup, config.DrainGroup, config.APIGroup, config.ConsoleGroup,
		config.ThrottleGroup, config.LogGroup,
	},
	Rules:   runRules,
	Port:    true,
	Service: true,
	Daemon:  true,
	Run:     runRun,
}

// runRules are the checks of run, and of config.
var runRules = []config.Rule{
	config.NeedProject,
	config.WorkerWithoutAPI(config.NeedSharedRegistry("no other process could read this one's memory: want firestore, or --api too")),
	config.WorkerWithAPI(config.NeedTokenOffLoopback),
	config.OneSourceOfTokens,
	config.TwoAddresses,
	config.NeedAcceptedSubscriptions,
}

// runRun consumes and serves until ctx ends. A worker whose health cannot be asked
// must not go on. Nor may a process look alive if its worker cannot consume, unless
// it answers checks, which need no worker (worker.go).
func runRun(ctx context.Context, in *invocation) error {
	s, err := startService(ctx, in, api.Starting{API: in.Config.API, Worker: true})
	if s == nil {
		return err
	}
	defer s.close(ctx)
	s.warnOfNoLog(ctx)
	transport, closeTransport, err := s.openTransport(ctx)
	if err != nil {
		return err
	}
	defer closeTransport()
	return s.consume(ctx, transport, in.Config.API)
}

// openTransport returns the worker's transport, and a function that closes it.
func (s *service) openTransport(ctx context.Context) (_ consumer.Transport, closeAll func(), err error) {
	start, cancel := context.WithDeadline(ctx, s.startBy)
	defer cancel()
	options := s.in.transportOptions()
	client, err := s.in.openPubSubFor(start, options)
	if err != nil {
		return nil, nil, err
	}
	options.MeterProvider = s.telemetry.MeterProvider
	transport, err := consumer.NewPubSub(client, options)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return transport, func() { transport.Close(); client.Close() }, nil
}

// transportOptions returns the options of the worker's transport and its client.
func (in *invocation) transportOptions() consumer.PubSubOptions {
	return consumer.PubSubOptions{
		Subscriptions:   in.Config.Subscriptions,
		DeadLetterTopic: in.Config.DeadLetterTopic,
		Streams:         in.Config.Streams,
		Lease:           in.Config.Lease,
		Monitor:         consumer.NewMonitor(),
		Logger:          in.Logger,
	}
}

// consume is runRun with a transport that is open.
func (s *service) consume(ctx context.Context, transport consumer.Transport, withAPI bool) error {
	s.warnOfUnbound()
	w, err := newWorker(s, transport)
	if err != nil {
		return err
	}
	rewriter, err := rewrite.New(s.store, rewrite.Options{
		Rate: s.in.Config.Rate, Drain: s.in.Config.DrainTimeout, GiveWay: w.backlogged, Logger: s.in.Logger, MeterProvider: s.telemetry.MeterProvider,
	})
	if err != nil {
		return err
	}
	options := s.healthOptions()
	options.Worker = w.ready
	if withAPI {
		if err := s.openAPI(ctx); err != nil {
			return err
		}
		if options, err = s.apiOptions(w.ready); err != nil {
			return err
		}
	}

	group, ctx := errgroup.WithContext(ctx)
	worked := make(chan struct{})
	group.Go(func() error {
		defer close(worked)
		return w.run(ctx, withAPI)
	})
	group.Go(func() error { return s.serve(ctx, options, worked) })
	group.Go(func() error { rewriter.Run(ctx); return nil })
	group.Go(func() error { s.store.KeepSnapshots(ctx, rewriter.Holder()); return nil })
	return group.Wait()
}

// warnOfUnbound warns of subscriptions that carry every type: a publisher on the
// topic of one can move tenants.
func (s *service) warnOfUnbound() {
	accepted := s.in.Config.Accepted()
	for _, name := range s.in.Config.Subscriptions {
		if accepted[name] == nil {
			s.in.Logger.Warn("a subscription carries events of every type", "subscription", name, "wanted", "--accept "+name+"=TYPE")
		}
	}
}

func (s *service) consumerOptions() consumer.Options {
	return consumer.Options{
		MaxOutstandingMessages: s.in.Config.MaxOutstanding,
		DrainTimeout:           s.in.Config.DrainTimeout,
		MaxClockSkew:           s.in.Config.MaxClockSkew,
		Accept:                 s.in.Config.Accepted(),
		Sources:                s.in.Config.Sources,
		MaxEventAge:            s.in.Config.MaxEventAge,
		Logger:                 s.in.Logger,
		MeterProvider:          s.telemetry.MeterProvider,
		TracerProvider:         s.telemetry.TracerProvider,
	}
}
