package verifier

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
)

// renew has a cached resource read again before it is older than MaxAge, so that no
// check has to wait for the read. Only a check causes it, so resources without
// checks are not read. No caller waits for the answer; if there is none, the first
// check after MaxAge reads. Such reads take at most a tenth of MaxWaiting, so that
// checks are not shed.
func (r *reader) renew(resource registry.Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil || r.renewals >= r.options.turns() || !r.cache.Renew(resource) {
		return
	}
	r.renewals++
	r.joinLocked(context.Background(), []registry.Resource{resource}).renewals++
}

// keepRenewed waits for the reads of renew, and keeps their answers.
func (r *reader) keepRenewed(places []*place) {
	for _, p := range r.renewedOf(places) {
		if p.err == nil && p.seen[0].unfoldable() == nil {
			seen := p.seen[0]
			r.cache.Keep(p.resources[0], seen.record.History, seen.ledger, seen.mark)
		}
	}
}

// renewedOf returns the places of renew, and has renew leave them.
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
