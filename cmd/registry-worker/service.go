package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// service is what run, serve and dev share: telemetry, the registry, the listener.
// Everything in it is open.
type service struct {
	in          *invocation
	parts       api.Starting
	telemetry   *telemetry.Telemetry
	store       registryStore
	health      *storeHealth
	throttle    *throttle // nil if the API is not served
	listener    net.Listener
	metrics     net.Listener // of --metrics-listen; nil if there is none, or not yet
	door        *door        // at the listener
	metricsDoor *door        // at metrics; nil if that is
	most        int          // connections
	tokens      tokens       // that the API demands
	startBy     time.Time    // whatever is not open by then is missing, except the registry
	began       time.Time
	serving     bool               // requests are being answered
	verifier    *verifier.Verifier // nil if the API is not served
	floor       []byte             // heapFloor bytes, if the API is served
	look        *consoleLook       // nil if the console is not served
	endLog      func()             // ends what publishes to the registry's log; nil if nothing does
	noPubSub    bool               // events come and go in this process's memory
}

// heapFloor is memory that the garbage collector counts and the system does not,
// since it is never touched. The collector runs when the heap has doubled. A server
// that answers from memory has a heap of some megabytes: the collector would run
// every few thousand checks, and take a tenth of the processor time. With heapFloor
// it lets 32 MiB of garbage gather. A large heap is hardly affected.
const heapFloor = 32 << 20

// startService opens all that a service with these parts needs; close closes it. From
// the beginning HTTP is answered, by the news that it starts. If ctx ends before all is
// open, there is no service, and no error.
func startService(ctx context.Context, in *invocation, parts api.Starting) (*service, error) {
	now := time.Now()
	s := &service{in: in, parts: parts, began: now, startBy: now.Add(startTimeout)}
	if err := s.open(ctx); err != nil {
		s.close(ctx)
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	t := in.firestoreTarget()
	in.Logger.Info("target", "project", t.Project, "database", t.Database, "prefix", t.Prefix, "emulator", t.Emulator,
		"registry", in.Config.RegistryBackend)
	in.warnOfFields(ctx)
	if err := s.publishLog(ctx); err != nil {
		s.close(ctx)
		return nil, err
	}
	return s, nil
}

func (s *service) open(ctx context.Context) (err error) {
	in := s.in
	start, cancel := context.WithDeadline(ctx, s.startBy)
	defer cancel()
	if s.telemetry, err = in.openTelemetry(start); err != nil {
		return err
	}
	if s.tokens, err = readTokens(in.Config); err != nil {
		return err
	}
	s.listener, err = listen(start, "listen", in.Config.Listen)
	if err != nil {
		return err
	}
	if in.Config.MetricsListen != "" {
		s.metrics = in.listenForMetrics(start)
	}
	var warning string
	if s.most, warning = connections(in.Config.MaxConnections); warning != "" {
		in.Logger.Warn(warning)
	}
	if err := s.openDoors(ctx); err != nil {
		return err
	}
	if err := in.dialFirestore(start); err != nil {
		return err
	}
	s.store, err = in.openStore(ctx, s.telemetry)
	if err != nil {
		return err
	}
	s.startBy = time.Now().Add(startTimeout) // for the rest
	s.health, err = newStoreHealth(s.store, s.telemetry.Providers)
	return err
}

// close closes what startService opened, and exports the remaining telemetry. If
// that fails it is logged, and is not an error of the command.
func (s *service) close(ctx context.Context) {
	s.door.close()
	s.metricsDoor.close()
	if s.look != nil {
		s.look.close()
	}
	if s.verifier != nil {
		s.verifier.Close()
	}
	if s.throttle != nil {
		if err := s.throttle.close(ctx); err != nil {
			s.in.Logger.Warn("close the throttle", "error", err)
		}
	}
	if s.endLog != nil {
		s.endLog()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.in.Logger.Warn("close the registry", "error", err)
		}
	}
	if s.in.firestore != nil {
		if err := s.in.firestore.Close(); err != nil {
			s.in.Logger.Warn("close the connection to Firestore", "error", err)
		}
	}
	for _, l := range []net.Listener{s.listener, s.metrics} {
		if l != nil {
			_ = l.Close() // closed already if it was served on
		}
	}
	if s.telemetry != nil {
		if err := s.telemetry.Shutdown(ctx); err != nil {
			s.in.Logger.Warn("telemetry was not exported", "error", err)
		}
	}
	if s.serving && ctx.Err() != nil {
		s.in.Logger.Info("ended", "cause", context.Cause(ctx), "after", time.Since(s.began).Round(time.Millisecond))
	}
}

// baseOptions returns the options of any server, which need no store.
func (s *service) baseOptions() api.Options {
	return api.Options{
		Metrics:        s.telemetry.Metrics,
		MaxConnections: s.most,
		Version:        buildVersion(),
		RequestTimeout: requestTimeout + s.in.Config.MissGrace,
		KeepAlive:      s.in.Config.KeepAlive,
		DrainTimeout:   s.in.Config.DrainTimeout,
		Logger:         s.in.Logger,
		MeterProvider:  s.telemetry.MeterProvider,
		TracerProvider: s.telemetry.TracerProvider,
		Propagator:     s.telemetry.Propagator,
	}
}

// healthOptions returns the options of a server of health alone.
func (s *service) healthOptions() api.Options {
	o := s.baseOptions()
	o.Store = s.health.ask
	return o
}

// apiOptions returns the options of a server that also answers access checks,
// claims and throttle requests, which openAPI has opened. worker returns why no
// events are applied here; nil: there is no worker.
func (s *service) apiOptions(worker func(context.Context) error) (api.Options, error) {
	o := s.healthOptions()
	o.Worker = worker
	o.Quota = quotahttp.Take(s.throttle.Limiter)
	o.Admit = func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool {
		return quotahttp.Admit(s.throttle.Limiter, w, r, tenantID, action)
	}
	o.StreamPaths = s.in.Config.StreamPaths
	o.Verifier, o.Registry = s.verifier, registry.New(s.store)
	o.Tokens, o.ClaimTokens = s.tokens.api, s.tokens.claim
	return o, s.addConsole(&o)
}

// openAPI opens what the API needs: the verifier and the throttle. A signal does
// not make it fail: serving then drains at once.
func (s *service) openAPI(ctx context.Context) (err error) {
	s.floor = make([]byte, heapFloor)
	maxAge := s.in.Config.MaxAge
	if maxAge == config.NoMaxAge {
		maxAge = verifier.Unbounded
	}
	s.verifier, err = verifier.New(s.store, verifier.Options{
		MaxStaleness:   s.in.Config.MaxStaleness,
		MaxAge:         maxAge,
		MissGrace:      s.in.Config.MissGrace,
		Logger:         s.in.Logger,
		MeterProvider:  s.telemetry.MeterProvider,
		TracerProvider: s.telemetry.TracerProvider,
	})
	if err != nil {
		return err
	}
	start, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(time.Until(s.startBy), time.Second))
	defer cancel()
	s.throttle, err = s.in.openThrottle(start, s.telemetry)
	return err
}

// requestTimeout bounds a request, without the grace that it may get.
const requestTimeout = 15 * time.Second
