// Package capacity computes what an installation takes: billed operations,
// money, instances, and how far it is from each limit of the services. It is
// arithmetic on Parameters; docs/capacity.md holds the result for the defaults,
// and where every constant comes from.
//
//	registry-worker capacity --resources 100e6 --checks 5000
package capacity

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
)

// Parameters describe an installation. Rates are averages, except the peak.
type Parameters struct {
	Tenants         float64
	Resources       float64 // threads and canvases that exist
	LargestTenant   float64 // resources of the tenant that has most
	Creations       float64 // new resources a day
	Peak            float64 // the busiest second, in averages
	Duplicates      float64 // deliveries for each event beyond the first
	ResourceMoves   float64 // resources a day that moves name
	TenantMoves     float64 // moves of whole tenants a day
	Claims          float64 // share of creations that are claimed, beside their event
	Streams         float64 // open streams, each watched by one transport
	Checks          float64 // access checks a second
	CacheHits       float64 // share of checks that read nothing
	ThrottleActions float64 // throttled actions a second
	ActionsPerBlock float64 // that one write of a window lasts for
	Workers         float64 // processes that consume; 0: as many as the peak takes
	Transports      float64 // processes that verify, each of them all the time
	Years           float64 // age of the installation, for what is kept for ever

	MaxStaleness time.Duration // of the verifiers; 0: they keep nothing
	MaxAge       time.Duration // of the verifiers; 0: unbounded
	WorkerCPU    time.Duration // of one event; measured (docs/benchmarks.md)
	// RewritingRate is how many documents a second a worker rewrites if nothing else
	// bounds it; measured (docs/benchmarks.md, scale-rewriting).
	RewritingRate float64
}

// Defaults are a million tenants and ten million resources, that came within a
// year and go on coming.
func Defaults() Parameters {
	return Parameters{
		Tenants: 1e6, Resources: 10e6, LargestTenant: 1e6, Creations: 30_000, Claims: 1, Streams: 100_000, Peak: 20, Duplicates: 0.01,
		ResourceMoves: 1000, TenantMoves: 10, Checks: 500, CacheHits: 0, ThrottleActions: 100, ActionsPerBlock: 5,
		Transports: 20, Years: 5, MaxStaleness: 2 * time.Second, MaxAge: 24 * time.Hour, WorkerCPU: 80 * time.Microsecond, RewritingRate: 1500,
	}
}

// Validate reports every fault at once.
func (p Parameters) Validate() error {
	var faults []error
	for name, value := range map[string]float64{
		"tenants": p.Tenants, "resources": p.Resources, "largest tenant": p.LargestTenant, "creations": p.Creations,
		"duplicates": p.Duplicates, "resource moves": p.ResourceMoves, "tenant moves": p.TenantMoves, "checks": p.Checks,
		"throttle actions": p.ThrottleActions, "streams": p.Streams, "workers": p.Workers, "transports": p.Transports, "years": p.Years,
	} {
		if !(value >= 0) || math.IsInf(value, 0) {
			faults = append(faults, fmt.Errorf("%s: want a number from 0 on, not %v", name, value))
		}
	}
	if !(p.CacheHits >= 0 && p.CacheHits <= 1) {
		faults = append(faults, fmt.Errorf("cache hits: want a share from 0 to 1, not %v", p.CacheHits))
	}
	if !(p.Claims >= 0 && p.Claims <= 1) {
		faults = append(faults, fmt.Errorf("claims: want a share from 0 to 1, not %v", p.Claims))
	}
	if p.MaxStaleness < 0 {
		faults = append(faults, fmt.Errorf("max staleness: want a time from 0 on, not %v", p.MaxStaleness))
	}
	if p.MaxAge < 0 {
		faults = append(faults, fmt.Errorf("max age: want a time from 0 on, not %v", p.MaxAge))
	}
	if !(p.Peak >= 1) || !(p.ActionsPerBlock >= 1) || !(p.RewritingRate >= 1) || p.WorkerCPU <= 0 {
		faults = append(faults, errors.New("peak, actions per block and rewriting rate are at least 1, and an event takes time"))
	}
	return errors.Join(faults...)
}

const (
	day   = 86_400.0 // seconds
	month = 30.0     // days
)

// PeakEvents is events a second at the peak.
func (p Parameters) PeakEvents() float64 {
	return p.Peak * (p.Creations*(1+p.Duplicates) + p.ResourceMoves + p.TenantMoves) / day
}

// WorkersNeeded is how many processes of one core take the peak, at half of what
// they can, and at least two so that one may fail.
func (p Parameters) WorkersNeeded() float64 {
	if p.Workers > 0 {
		return p.Workers
	}
	const share = 0.5
	return max(2, math.Ceil(p.PeakEvents()*p.WorkerCPU.Seconds()/share))
}

// writerHorizon is how long a job waits for writers that do not know of its move.
const writerHorizon = 15 * time.Second

// Rewriting is how long direct readers wait for the documents of n resources after a
// move of their tenant; verifiers do not wait. It is what the worker reckons with: the
// ramp, as far as it can follow.
func (p Parameters) Rewriting(n float64) time.Duration {
	return writerHorizon + governor.Ramp.DurationFrom(governor.Pace{}, p.RewritingRate, int64(n))
}

// Writing is how long one process takes to write n resources for the first time, as
// `replay` does: the ramp, as far as one core can follow.
func (p Parameters) Writing(n float64) time.Duration {
	return governor.Ramp.DurationFrom(governor.Pace{}, 1/p.WorkerCPU.Seconds(), int64(n))
}
