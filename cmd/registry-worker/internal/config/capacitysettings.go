package config

import (
	"strconv"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/capacity"
)

// capacitySettings describe an installation, beside those that it has itself.
func capacitySettings() (all []Setting) {
	usual := capacity.Defaults()
	for _, n := range []struct {
		name, help string
		value      func(*capacity.Parameters) *float64
	}{
		{"tenants", "tenants", func(p *capacity.Parameters) *float64 { return &p.Tenants }},
		{"resources", "threads and canvases that exist", func(p *capacity.Parameters) *float64 { return &p.Resources }},
		{"largest-tenant", "resources of the tenant that has most", func(p *capacity.Parameters) *float64 { return &p.LargestTenant }},
		{"creations", "new resources a day", func(p *capacity.Parameters) *float64 { return &p.Creations }},
		{"peak", "the busiest second, in averages", func(p *capacity.Parameters) *float64 { return &p.Peak }},
		{"duplicates", "deliveries for each event beyond the first", func(p *capacity.Parameters) *float64 { return &p.Duplicates }},
		{"resource-moves", "resources a day that moves name", func(p *capacity.Parameters) *float64 { return &p.ResourceMoves }},
		{"tenant-moves", "moves of whole tenants a day", func(p *capacity.Parameters) *float64 { return &p.TenantMoves }},
		{"claims", "share of creations that are claimed, 0 to 1", func(p *capacity.Parameters) *float64 { return &p.Claims }},
		{"open-streams", "open streams, each watched by one process", func(p *capacity.Parameters) *float64 { return &p.Streams }},
		{"checks", "access checks a second", func(p *capacity.Parameters) *float64 { return &p.Checks }},
		{"cache-hits", "share of checks that the cache answers, 0 to 1", func(p *capacity.Parameters) *float64 { return &p.CacheHits }},
		{"throttle-actions", "throttled actions a second", func(p *capacity.Parameters) *float64 { return &p.ThrottleActions }},
		{"actions-per-block", "actions that one write of a throttle window lasts for", func(p *capacity.Parameters) *float64 { return &p.ActionsPerBlock }},
		{"workers", "processes that consume; 0 is as many as the peak takes", func(p *capacity.Parameters) *float64 { return &p.Workers }},
		{"transports", "processes that verify", func(p *capacity.Parameters) *float64 { return &p.Transports }},
		{"years", "age of the installation", func(p *capacity.Parameters) *float64 { return &p.Years }},
		{"rewriting-rate", "documents a second that a worker rewrites (docs/benchmarks.md; `moves plan` says what yours had)", func(p *capacity.Parameters) *float64 { return &p.RewritingRate }},
	} {
		all = append(all, Setting{Name: n.name, Help: n.help, Default: strconv.FormatFloat(*n.value(&usual), 'f', -1, 64),
			parse: number(func(c *Config) *float64 { return n.value(&c.Capacity) })})
	}
	all = append(all, Setting{Name: "worker-cpu", Default: usual.WorkerCPU.String(),
		Help:  "CPU time of one event (docs/benchmarks.md)",
		parse: duration(time.Microsecond, time.Second, func(c *Config) *time.Duration { return &c.Capacity.WorkerCPU })})
	for i := range all {
		all[i].Group, all[i].FlagOnly = CapacityGroup, true
	}
	return all
}
