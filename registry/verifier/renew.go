package verifier

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
)

// renew has what memory knows of a resource read again before it is older than
// MaxAge, so that no check waits for that. What nobody asks for is not read. Nobody
// waits for the answer; if there is none, the first check after MaxAge reads. A tenth
// of MaxWaiting is for such reads, so that checks are not shed.
func (r *reader) renew(resource registry.Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil || r.renewals >= r.options.turns() || !r.cache.Renew(resource) {
		return
	}
	r.renewals++
	r.joinLocked(context.Background(), []registry.Resource{resource}).renewals++
}

// keepRenewed keeps what was read for renew, and is what waits for these reads.
func (r *reader) keepRenewed(places []*place) {
	for _, p := range r.renewedOf(places) {
		if p.err == nil && p.seen[0].unfoldable() == nil {
			seen := p.seen[0]
			r.cache.Keep(p.resources[0], seen.record.History, seen.ledger, seen.mark)
		}
	}
}

// renewedOf returns the places that renew has taken, which it leaves.
func (r *reader) renewedOf(places []*place) (renewed []*place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range places {
		if p.renewals > 0 {
			renewed = append(renewed, p)
		}
		for ; p.renewals > 0; p.renewals-- {
			r.renewals--
			r.leaveLocked(p)
		}
	}
	return renewed
}
