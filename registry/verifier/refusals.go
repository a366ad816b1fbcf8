package verifier

import (
	"strings"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// These bound what refusals cost, whatever is asked.
const (
	refusalsKept   = 16_384      // refusals remembered, at most 6 MB with the longest ids
	refusalMemory  = time.Hour   // after which a refusal is forgotten
	lineInterval   = time.Minute // between two log lines of one refusal
	linesPerSecond = 10          // log lines, of all refusals
	lineBurst      = 50
)

type refusalKey struct {
	tenantID string
	resource registry.Resource
}

// refusal is a remembered refusal.
type refusal struct {
	cause string
	since time.Time // of the first refusal, by the store's clock

	began  time.Time // of the first refusal, by ours
	logged time.Time
}

// refusals remembers the latest refusals, to recognize late arrivals and to log
// each refusal once a minute. The oldest give way to new ones.
type refusals struct {
	mu   sync.Mutex
	at   map[refusalKey]int // place in ring
	ring []refusalEntry
	next int // the oldest, once the ring is full
}

type refusalEntry struct {
	key refusalKey
	refusal
}

func newRefusals() *refusals { return &refusals{at: map[refusalKey]int{}} }

// add remembers a refusal, and reports whether a log line for it is due. A
// refusal that is remembered already keeps its cause and its time.
func (m *refusals) add(key refusalKey, added refusal, now time.Time) (due bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	added.began, added.logged = now, now
	if i, ok := m.at[key]; ok {
		known := &m.ring[i].refusal
		due = now.Sub(known.logged) >= lineInterval
		switch {
		case now.Sub(known.began) >= refusalMemory:
			*known = added
		case due:
			known.logged = now
		}
		return due
	}
	// Cloned: the ids may be substrings of a longer text, which would stay in
	// memory with them.
	key.tenantID, key.resource.ID = strings.Clone(key.tenantID), strings.Clone(key.resource.ID)
	if len(m.ring) < refusalsKept {
		m.at[key] = len(m.ring)
		m.ring = append(m.ring, refusalEntry{key, added})
		return true
	}
	if old := m.ring[m.next].key; m.at[old] == m.next {
		delete(m.at, old)
	}
	m.at[key] = m.next
	m.ring[m.next] = refusalEntry{key, added}
	m.next = (m.next + 1) % refusalsKept
	return true
}

// take forgets a refusal and returns it; ok is false if none is remembered.
func (m *refusals) take(key refusalKey, now time.Time) (taken refusal, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.at[key]
	if !ok {
		return refusal{}, false
	}
	delete(m.at, key)
	taken = m.ring[i].refusal
	m.ring[i] = refusalEntry{}
	return taken, now.Sub(taken.began) < refusalMemory
}
