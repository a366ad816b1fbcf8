package regstore

import (
	"hash/maphash"
	"sync"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// guess tells which documents probably exist already, so that creating them
// without a look is a waste. It is a hint: nothing rests on it but cost.
//
// It knows two things. What this process wrote lately: a redelivery soon after
// is read first. And whether most of what came last existed: a replay of what
// was applied before, by whomever, is read first after a few creates have
// failed, and creates go without a look again when most turn out to be missing.
type guess struct {
	mu       sync.Mutex
	seed     maphash.Seed
	recent   map[uint64]struct{} // of what was written lately
	older    map[uint64]struct{} // the generation before
	learned  int                 // of how many documents, up to probe
	existing float64             // share of documents that existed, of late
}

const (
	probe      = 16      // creates that go ahead together until so many are known of
	generation = 1 << 17 // documents; two generations take some 5 MB
)

// split parts targets into those to create without a look and those to read
// first. What is not a creation concerns what exists, mostly.
func (g *guess) split(targets []*target) (fresh, seen []*target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range targets {
		switch {
		case !creationsOnly(t) || g.wroteLately(t.resource):
			seen = append(seen, t)
		case g.readFirst():
			t.guessed = true
			seen = append(seen, t)
		default:
			fresh = append(fresh, t)
		}
	}
	return fresh, seen
}

func creationsOnly(t *target) bool {
	for _, e := range t.entries {
		if e.Type != ownership.Created && e.Type != ownership.Claimed {
			return false
		}
	}
	return true
}

// chunk is how many creates the next request may hold; 0 if it is better to
// read first.
func (g *guess) chunk(most int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.readFirst():
		return 0
	case g.learned < probe:
		return min(probe, most)
	}
	return most
}

// learn takes note of how many of the documents existed. As many as a probe
// outweigh all that was known before.
func (g *guess) learn(existed, of int) {
	if of == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.learned = min(g.learned+of, probe)
	weight := min(1, float64(of)/probe)
	g.existing += weight * (float64(existed)/float64(of) - g.existing)
}

// learnOne is learn of one document that was asked for by itself.
func (g *guess) learnOne(existed bool) {
	n := 0
	if existed {
		n = 1
	}
	g.learn(n, 1)
}

// probablyNew reports whether a document is better created without a look.
func (g *guess) probablyNew(r registry.Resource) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.wroteLately(r) && !g.readFirst()
}

func (g *guess) readFirst() bool { return g.existing > 0.5 }

func (g *guess) remember(r registry.Resource) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.recent == nil {
		g.recent = make(map[uint64]struct{})
	}
	if len(g.recent) >= generation {
		g.recent, g.older = make(map[uint64]struct{}), g.recent
	}
	g.recent[g.key(r)] = struct{}{}
}

func (g *guess) wroteLately(r registry.Resource) bool {
	key := g.key(r)
	if _, ok := g.recent[key]; ok {
		return true
	}
	_, ok := g.older[key]
	return ok
}

func (g *guess) key(r registry.Resource) uint64 {
	if g.seed == (maphash.Seed{}) {
		g.seed = maphash.MakeSeed()
	}
	return maphash.Comparable(g.seed, r)
}
