package verifier

import (
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// CacheStats are the figures of the cache.
func (v *Verifier) CacheStats() certified.Stats { return v.cache.Stats() }

// FromMemory reports whether a check is answered from memory.
func (v *Verifier) FromMemory(tenantID string, r registry.Resource) bool {
	owned, _ := v.fromMemory(tenantID, r)
	return owned
}

// held is a subscriber that keeps others from being told what it is told.
type held chan struct{}

func (h held) Changed([]int32) { <-h }
func (h held) Dropped()        { <-h }
func (h held) Certified()      {}

// HoldUp keeps the cache telling of a change of the resource until release.
func (v *Verifier) HoldUp(r registry.Resource) (release func()) {
	h := make(held)
	s := v.cache.Subscribe([]certified.Ownership{{TenantID: "t_held", Resource: r}}, h)
	return func() {
		close(h)
		s.Close()
	}
}

// HoldRefusals holds what is remembered of refusals, of all tenants.
func (v *Verifier) HoldRefusals() (release func()) {
	v.telemetry.refusals.mu.Lock()
	return v.telemetry.refusals.mu.Unlock
}
