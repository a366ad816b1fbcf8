package verifier

import (
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// CacheUsage is what the cache holds: entries, and bytes by its own account.
func (v *Verifier) CacheUsage() (entries, bytes int64) { return v.kept.cache.usage() }

// Watching is the number of resources that are watched.
func (v *Verifier) Watching() int64 { return v.kept.cache.watching.Load() }

// Subscribed is the number of resources in all Watchers.
func (v *Verifier) Subscribed() int64 { return v.kept.cache.subscribed.Load() }

// HoldShards keeps whatever ends a watch waiting.
func (v *Verifier) HoldShards() (release func()) {
	shards := v.kept.cache.shards
	for i := range shards {
		shards[i].mu.Lock()
	}
	return func() {
		for i := range shards {
			shards[i].mu.Unlock()
		}
	}
}

// OmitCertification makes answers from memory rest on nothing, to show that a
// test would notice.
func (v *Verifier) OmitCertification() { v.kept.certifier.omit.Store(true) }

// Told is the number of feed entries whose names are remembered.
func (v *Verifier) Told() int { return v.kept.certifier.cursor.Told() }

// Certified is since when what is in memory is certified.
func (v *Verifier) Certified() time.Time { return v.kept.certifier.current.Load().since }

// FromMemory reports whether a check is answered from memory.
func (v *Verifier) FromMemory(tenantID string, r registry.Resource) bool {
	return v.kept.owns(tenantID, r).why == ""
}

// HoldMisses holds what is remembered of refusals, of all tenants.
func (v *Verifier) HoldMisses() (release func()) {
	v.telemetry.misses.mu.Lock()
	return v.telemetry.misses.mu.Unlock
}
