// Capacity prints what an installation takes: operations, money, instances and
// the next limits (docs/capacity.md).
//
//	go run ./internal/capacity/cmd/capacity --help
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/northstar-engines/realtime-registry/internal/capacity"
)

func main() {
	p := capacity.Defaults()
	for _, f := range []struct {
		name, help string
		value      *float64
	}{
		{"tenants", "tenants", &p.Tenants},
		{"resources", "threads and canvases that exist", &p.Resources},
		{"largest-tenant", "resources of the tenant that has most", &p.LargestTenant},
		{"creations", "new resources a day", &p.Creations},
		{"peak", "the busiest second, in averages", &p.Peak},
		{"duplicates", "deliveries for each event beyond the first", &p.Duplicates},
		{"resource-moves", "resources a day that moves name", &p.ResourceMoves},
		{"tenant-moves", "moves of whole tenants a day", &p.TenantMoves},
		{"claims", "share of creations that are claimed, 0 to 1", &p.Claims},
		{"streams", "open streams", &p.Streams},
		{"checks", "access checks a second", &p.Checks},
		{"cache-hits", "share of checks that the cache answers, 0 to 1", &p.CacheHits},
		{"throttle-actions", "throttled actions a second", &p.ThrottleActions},
		{"actions-per-block", "actions that one write of a throttle window lasts for", &p.ActionsPerBlock},
		{"workers", "processes that consume; 0: as many as the peak takes", &p.Workers},
		{"transports", "processes that verify", &p.Transports},
		{"years", "age of the installation", &p.Years},
	} {
		flag.Float64Var(f.value, f.name, *f.value, f.help)
	}
	flag.DurationVar(&p.MaxStaleness, "max-staleness", p.MaxStaleness, "of the verifiers; 0: they keep nothing")
	flag.DurationVar(&p.MaxAge, "max-age", p.MaxAge, "of the verifiers: 30s while programs write plain sets, 24h once the registry says that they are over; 0: unbounded")
	flag.DurationVar(&p.WorkerCPU, "worker-cpu", p.WorkerCPU, "CPU time of one event (docs/benchmarks.md)")
	flag.Parse()
	if err := p.Validate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Print(p.Report())
}
