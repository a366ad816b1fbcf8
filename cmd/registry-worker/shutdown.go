package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// The end of a service. At the signal /readyz fails, and the worker begins to
// drain. The API goes on answering for --shutdown-delay, until the senders of
// requests have noticed, and closes each connection with its answer. Then it takes
// no more, and finishes what is in progress. Health that is served alone, without
// the API or at --metrics-listen, is answered until the end.

// serve answers HTTP until ctx ends, and drains. Closed at the latest after that:
// worked, once the process's worker has drained.
func (s *service) serve(ctx context.Context, o api.Options, worked <-chan struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	answered := make(chan struct{})
	if s.in.Config.MetricsListen != "" {
		monitored, err := api.New(monitoring(o))
		if err != nil {
			return err
		}
		o.Metrics, o.MetricsAt = nil, s.metricsAt()
		until := after(ctx, func() { monitored.Drain(); <-answered; <-worked })
		if s.metricsDoor != nil {
			s.metricsDoor.handOver(monitored)
			s.tellOfMetrics(s.metrics)
		}
		group.Go(func() error { return s.serveMetrics(until, monitored) })
	}
	server, err := api.New(o)
	if err != nil {
		return err
	}
	s.serving = true
	s.door.handOver(server)
	s.in.Logger.Info("listening", "address", s.listener.Addr().String(), "api", o.Verifier != nil, "console", s.consoleURL())
	until := after(ctx, func() {
		server.Drain()
		if o.Verifier == nil {
			<-worked
			return
		}
		delay := s.delay(ctx)
		s.in.Logger.Info("shutting down", "delay", delay)
		time.Sleep(delay)
	})
	group.Go(func() error {
		defer close(answered)
		return s.door.serve(until)
	})
	group.Go(func() error { s.keepPresence(ctx, o); return nil })
	group.Go(func() error { s.followTokens(ctx, server, s.tokens, tokenEvery); return nil })
	return group.Wait()
}

func (s *service) tellOfMetrics(l net.Listener) {
	s.in.Logger.Info("listening", "address", l.Addr().String(), "api", false, "metrics", true)
}

// serveMetrics answers at --metrics-listen until ctx ends.
func (s *service) serveMetrics(ctx context.Context, server *api.Server) error {
	if s.metricsDoor != nil {
		return s.metricsDoor.serve(ctx)
	}
	l := s.in.retryMetrics(ctx)
	if l == nil {
		return nil
	}
	s.tellOfMetrics(l)
	return server.Serve(ctx, l)
}

// after returns a context that ends when wait, which is called at the end of ctx,
// has returned.
func after(ctx context.Context, wait func()) context.Context {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { wait(); end() })
	return later
}

// delay returns how long requests are answered after the end of ctx. After a
// SIGINT, which comes from a person at a terminal, and after a fault, there is no
// delay.
func (s *service) delay(ctx context.Context) time.Duration {
	var by caught
	if errors.As(context.Cause(ctx), &by) && by.Signal == syscall.SIGTERM {
		return s.in.Config.ShutdownDelay
	}
	return 0
}

// monitoring returns the options of a server of health and metrics alone, beside
// the one with these options.
func monitoring(o api.Options) api.Options {
	o.Elsewhere = o.ServesAPI()
	if o.Starting != nil {
		o.Starting = &api.Starting{Worker: o.Starting.Worker}
	}
	o.Verifier, o.Registry, o.Quota = nil, nil, nil
	o.MaxConnections = min(o.MaxConnections, monitors)
	return o
}
