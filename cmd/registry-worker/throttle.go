package main

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

// throttle is a limiter with the store that it reserves from.
type throttle struct {
	*quota.Limiter
	windows limits.Store
}

// openThrottle opens the configured throttle, never another one.
func (in *invocation) openThrottle(ctx context.Context, t *telemetry.Telemetry) (*throttle, error) {
	windows, err := in.openWindows(ctx, t)
	if err != nil {
		return nil, err
	}
	limiter, err := quota.New(windows, quota.Options{
		PolicyFile:     in.Config.ThrottlePolicies,
		OnError:        quota.OnError(in.Config.ThrottleOnError),
		Logger:         in.Logger,
		MeterProvider:  t.MeterProvider,
		TracerProvider: t.TracerProvider,
	})
	if err != nil {
		_ = windows.Close()
		return nil, usageError{err} // it begins with "throttle: "
	}
	return &throttle{limiter, windows}, nil
}

// openWindows opens the store of throttle windows. It has answered when openWindows
// returns. t may be nil.
func (in *invocation) openWindows(ctx context.Context, t *telemetry.Telemetry) (limits.Store, error) {
	if in.Config.ThrottleBackend == config.Memory {
		return memquota.New(), nil
	}
	o := fsquota.Options{
		ProjectID: in.Config.Project,
		Database:  in.Config.Database,
		Prefix:    in.Config.CollectionPrefix,
		Logger:    in.Logger,

		Connection: in.firestore,
	}
	if t != nil {
		o.MeterProvider = t.MeterProvider
	}
	windows, err := bounded(ctx, func(ctx context.Context) (limits.Store, error) { return fsquota.Open(ctx, o) })
	if err != nil {
		return nil, in.explainFirestore(err)
	}
	return windows, nil
}

// releaseTimeout bounds how long an ending process tries to release what it has
// reserved and not spent.
const releaseTimeout = 5 * time.Second

// close releases what was reserved and not spent, so that other processes may spend
// it. ctx may have ended.
func (t *throttle) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	err := t.Limiter.Close(ctx)
	if closing := t.windows.Close(); err == nil {
		err = closing
	}
	return err
}
