package quota

import (
	"context"
	"hash/maphash"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// Bounds on the actions of a tenant before it is reported: a program that puts its
// caller's text into an action's name makes a document for each.
const (
	crowd      = 100       // live actions
	crowdAgain = time.Hour // until the same tenant is logged again
	crowdLines = 10        // log lines a round
	maxTallied = 1 << 20   // hashes; 2 MiB
	minTallied = 1 << 14   // hashes
)

// census finds the tenants with many live actions: those that this process has in
// memory. A round is a sweep of all keys. One round counts keys by a hash of the
// tenant, which needs no memory for each tenant, and the next one counts the keys
// of the tenants whose hash had many. Only the sweep uses it, except for the gauge.
type census struct {
	seed    maphash.Seed
	tallied []uint16        // keys by hash, in this round
	keys    int             // in this round
	suspect map[uint64]bool // hashes that had many in the last round
	mask    uint64          // of those hashes
	live    map[string]int  // actions of tenants with such a hash, in this round
	told    map[string]instant
	crowded atomic.Int64 // tenants, in the last round
}

func newCensus() census {
	return census{seed: maphash.MakeSeed(), tallied: make([]uint16, minTallied), live: map[string]int{}, told: map[string]instant{}}
}

// see counts a key.
func (c *census) see(key limits.Key) {
	if key.Action == TotalAction {
		return
	}
	c.keys++
	tenant := key.Tenant
	hash := maphash.String(c.seed, tenant)
	if at := &c.tallied[hash&uint64(len(c.tallied)-1)]; *at < math.MaxUint16 {
		*at++
	}
	if !c.suspect[hash&c.mask] {
		return
	}
	c.live[tenant]++
}

// end ends a round, and returns the tenants with many live actions.
func (c *census) end() map[string]int {
	found := c.live
	for tenant, n := range found {
		if n < crowd {
			delete(found, tenant)
		}
	}
	c.crowded.Store(int64(len(found)))
	c.mask = uint64(len(c.tallied) - 1)
	c.suspect = map[uint64]bool{}
	// If few keys share a hash, a hundred are of one tenant. Else there are many
	// more keys than in the last round, and the next one has room for them.
	if c.keys/len(c.tallied) < crowd/5 {
		for hash, n := range c.tallied {
			if n >= crowd {
				c.suspect[uint64(hash)] = true
			}
		}
	}
	size := min(maxTallied, max(minTallied, 1<<bits.Len(uint(4*c.keys))))
	c.tallied, c.keys, c.live = make([]uint16, size), 0, map[string]int{}
	return found
}

// report logs tenants with many live actions, each once in a while.
func (l *Limiter) report(crowded map[string]int) {
	now, c := l.clock(), &l.census
	for tenant, at := range c.told {
		if time.Duration(now-at) >= crowdAgain {
			delete(c.told, tenant)
		}
	}
	lines := 0
	for tenant, actions := range crowded {
		if _, told := c.told[tenant]; told || lines == crowdLines {
			continue
		}
		lines++
		c.told[tenant] = now
		l.options.Logger.WarnContext(context.Background(), "a tenant has many live actions; policies can close the list of actions, or bound all of a tenant's together",
			"tenant_id", tenant, "actions", actions, "tenants", len(crowded))
	}
}
