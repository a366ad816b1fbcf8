package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// maxList is the number of resources in one read of a list.
const maxList = 500

// VerifyAll is Verify for many resources of one tenant, as a page that lists them
// needs it. It returns an error for each resource, in order; nil if the tenant owns
// it. One read, or one for every 500 resources, answers what memory cannot.
// MissGrace does not apply.
func (v *Verifier) VerifyAll(ctx context.Context, tenantID string, resources []registry.Resource) []error {
	errs := make([]error, len(resources))
	var toRead []int // indexes
	for i, r := range resources {
		owned, why := v.fromMemory(tenantID, r)
		if owned {
			v.telemetry.fromMemory(ctx, tenantID, r)
			continue
		}
		if errs[i] = validate(tenantID, r); errs[i] != nil {
			ctx, check := v.telemetry.begin(ctx, tenantID, r)
			check.end(ctx, errs[i])
			continue
		}
		v.cache.Missed(ctx, why)
		toRead = append(toRead, i)
	}
	for len(toRead) > 0 {
		n := min(maxList, len(toRead))
		v.readList(ctx, tenantID, resources, toRead[:n], errs)
		toRead = toRead[n:]
	}
	return errs
}

// readList answers the checks with these indexes, with one read.
func (v *Verifier) readList(ctx context.Context, tenantID string, resources []registry.Resource, indexes []int, errs []error) {
	asked := make([]Ownership, len(indexes))
	for j, i := range indexes {
		asked[j] = Ownership{tenantID, resources[i]}
	}
	_, read := v.readOwnerships(ctx, asked, func() {}, 0)
	for j, i := range indexes {
		errs[i] = read[j]
	}
}

// readOwnerships answers checks with one read. Then it calls read, and reads again
// what was refused until the grace ends.
func (v *Verifier) readOwnerships(ctx context.Context, asked []Ownership, read func(), grace time.Duration) ([]sighting, []error) {
	checks := make([]*check, len(asked))
	contexts := make([]context.Context, len(asked))
	for j, o := range asked {
		contexts[j], checks[j] = v.telemetry.begin(ctx, o.TenantID, o.Resource)
	}
	seen, err := v.reader.readAll(contexts[0], resourcesOf(asked))
	read()
	if err == nil && grace > 0 {
		err = v.bridge(ctx, asked, seen, checks, grace)
	}
	errs := make([]error, len(asked))
	refused := false
	for j, o := range asked {
		if err != nil {
			errs[j] = fmt.Errorf("verify %s: %w", o.Resource, err)
			continue
		}
		errs[j] = v.conclude(contexts[j], o.TenantID, o.Resource, checks[j], seen[j])
		refused = refused || errs[j] != nil
	}
	if refused {
		checks[0].pad(ctx)
	}
	for j := range asked {
		checks[j].end(contexts[j], errs[j])
	}
	return seen, errs
}

func resourcesOf(asked []Ownership) []registry.Resource {
	resources := make([]registry.Resource, len(asked))
	for j, o := range asked {
		resources[j] = o.Resource
	}
	return resources
}
