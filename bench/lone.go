package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// A lone read is a read of a missing document with no other load. How long it takes
// shows how busy the machine is: if it takes much longer than the round trip,
// measurements at that time say little.

const (
	loneEvery = 100 * time.Millisecond
	// quietEnough is what 95 of 100 lone reads take at most on a machine that has
	// time.
	quietEnough = 2 * hotRoundTrip
)

// loneReads reads until ctx ends, and returns how long each read took, sorted.
func loneReads(ctx context.Context, s quota.Store) []time.Duration {
	var took []time.Duration
	ticker := time.NewTicker(loneEvery)
	defer ticker.Stop()
	for {
		began := time.Now()
		_, err := s.Load(ctx, limits.Key{Tenant: "t_lone", Action: "chat_send"})
		if ctx.Err() != nil {
			slices.Sort(took)
			return took
		}
		if err == nil {
			took = append(took, time.Since(began))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// quiet waits until the machine has time, or for patience.
func (b *bench) quiet(ctx context.Context, s quota.Store) error {
	const (
		look     = 5 * time.Second
		patience = 3 * time.Minute
	)
	for began := time.Now(); ctx.Err() == nil; {
		looking, cancel := context.WithTimeout(ctx, look)
		p95 := percentile(loneReads(looking, s), 95)
		cancel()
		if p95 > 0 && p95 <= quietEnough {
			break
		}
		b.say("the machine is busy: 95 of 100 lone reads take up to %s", milliseconds(p95))
		if time.Since(began) > patience {
			b.say("measured all the same")
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for a quiet machine: %w", err)
	}
	return nil
}
