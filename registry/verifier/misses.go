package verifier

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Bounds of what refusals may cost, whatever is asked.
const (
	missesKept   = 16_384         // misses remembered, at most 6 MB with the longest ids
	missMemory   = time.Hour      // after which a miss is forgotten
	lineInterval = time.Minute    // between two log lines of one miss
	lineRate     = rate.Limit(10) // log lines a second, of all misses
	lineBurst    = 50
)

type missKey struct {
	tenantID string
	resource registry.Resource
}

// miss is what is remembered of a refusal.
type miss struct {
	cause string
	since time.Time // of the first refusal, by the store's clock

	began  time.Time // of the first refusal, by ours
	logged time.Time
}

// misses remembers the latest refusals, to tell late arrivals and to log each
// once a minute. The oldest give way to new ones.
type misses struct {
	mu   sync.Mutex
	at   map[missKey]int // place in ring
	ring []missEntry
	next int // the oldest, once the ring is full
}

type missEntry struct {
	key missKey
	miss
}

func newMisses() *misses { return &misses{at: map[missKey]int{}} }

// add remembers a refusal, and reports whether a log line for it is due. A
// refusal that is remembered already keeps its cause and its time.
func (m *misses) add(key missKey, added miss, now time.Time) (due bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	added.began, added.logged = now, now
	if i, ok := m.at[key]; ok {
		known := &m.ring[i].miss
		due = now.Sub(known.logged) >= lineInterval
		switch {
		case now.Sub(known.began) >= missMemory:
			*known = added
		case due:
			known.logged = now
		}
		return due
	}
	// The ids may be parts of a longer text, which would be kept with them.
	key.tenantID, key.resource.ID = strings.Clone(key.tenantID), strings.Clone(key.resource.ID)
	if len(m.ring) < missesKept {
		m.at[key] = len(m.ring)
		m.ring = append(m.ring, missEntry{key, added})
		return true
	}
	if old := m.ring[m.next].key; m.at[old] == m.next {
		delete(m.at, old)
	}
	m.at[key] = m.next
	m.ring[m.next] = missEntry{key, added}
	m.next = (m.next + 1) % missesKept
	return true
}

// take forgets a refusal and returns it; ok is false where none is remembered.
func (m *misses) take(key missKey, now time.Time) (taken miss, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.at[key]
	if !ok {
		return miss{}, false
	}
	delete(m.at, key)
	taken = m.ring[i].miss
	m.ring[i] = missEntry{}
	return taken, now.Sub(taken.began) < missMemory
}

// missLog writes the log lines of refusals, so many a second at most.
type missLog struct {
	logger *slog.Logger
	limit  *rate.Limiter
	held   atomic.Int64 // lines held back since the last one
}

func newMissLog(logger *slog.Logger) *missLog {
	return &missLog{logger: logger, limit: rate.NewLimiter(lineRate, lineBurst)}
}

func (l *missLog) write(ctx context.Context, key missKey, cause string, now time.Time) {
	if !l.limit.AllowN(now, 1) {
		l.hold()
		return
	}
	l.logger.WarnContext(ctx, "access refused", "tenant_id", key.tenantID,
		"resource", key.resource.String(), "cause", cause, "suppressed", l.held.Swap(0))
}

func (l *missLog) hold() { l.held.Add(1) }
