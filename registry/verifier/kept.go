package verifier

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// kept answers checks from memory: the cache, and the certificates that make it
// safe to use. A nil *kept answers none.
type kept struct {
	cache     *cache
	certifier *certifier
	telemetry *feedTelemetry
}

// newKept returns nil if the options want no cache. It works until ctx ends.
func newKept(ctx context.Context, store ownership.Store, o Options) (*kept, error) {
	if o.MaxStaleness == 0 {
		return nil, nil
	}
	feed, ok := store.(ownership.Feed)
	if !ok {
		return nil, fmt.Errorf("option MaxStaleness is %v: %T has no change feed (ownership.Feed)", o.MaxStaleness, store)
	}
	t, err := newFeedTelemetry(o)
	if err != nil {
		return nil, err
	}
	k := &kept{cache: newCache(o), telemetry: t}
	k.certifier = newCertifier(feed, k.cache, o, t)
	if err := t.observe(ctx, k.cache, k.certifier); err != nil {
		return nil, err
	}
	go k.certifier.run(ctx)
	return k, nil
}

// verdict is what memory says of a check.
type verdict struct {
	why   string       // why it must be read; "" if the tenant owns the resource
	moved *certificate // what an ownership rests on that came with the ledger; else nil
}

// owns reports whether it is known, and certified, that the tenant owns the
// resource. It does not allocate, except once for each ledger if the resource
// has moved.
//
// The order matters. The certificate is taken first: whatever it covers was out
// of the cache before it was there. What is found is of its time or later, and not
// later than its ledger. The clock is read last, so that the answer is not
// older than MaxStaleness where this goroutine was held up in between.
func (k *kept) owns(tenantID string, r registry.Resource) verdict {
	cert := k.certifier.current.Load()
	if cert == nil {
		return verdict{why: uncertified}
	}
	s, hash := k.cache.shardOf(r)
	e := s.lookup(hash, r)
	if e == nil {
		return verdict{why: absent}
	}
	owner, ok := e.owner(cert)
	if !ok {
		return verdict{why: unreliable}
	}
	if owner != tenantID {
		return verdict{why: otherOwner}
	}
	now := time.Now()
	if k.cache.aged(e.read, now) {
		return verdict{why: aged}
	}
	if !k.certifier.valid(cert, now) {
		return verdict{why: uncertified}
	}
	if r.Kind == registry.Canvas {
		s.canvasHits.Add(1)
	} else {
		s.threadHits.Add(1)
	}
	if owner != e.tenant() {
		if seq := uint32(cert.ledger.Seq()); e.arrived.Load() != seq && e.arrived.Swap(seq) != seq {
			return verdict{moved: cert}
		}
	}
	return verdict{}
}

// judgement is owns for a Watcher, which has to know as of when. Times are since
// the cache began.
type judgement struct {
	verdict
	since   time.Duration // of the certificate
	read    time.Duration // when the read was sent that it rests on
	certain bool          // another owner is as sure as an owner
}

// judge differs from owns in that it counts no hit, and in that what it says of
// another owner may be relied on.
func (k *kept) judge(tenantID string, r registry.Resource) judgement {
	cert := k.certifier.current.Load()
	if cert == nil {
		return judgement{verdict: verdict{why: uncertified}}
	}
	s, hash := k.cache.shardOf(r)
	e := s.lookup(hash, r)
	if e == nil {
		return judgement{verdict: verdict{why: absent}}
	}
	j := judgement{since: cert.since.Sub(k.cache.began), read: e.read}
	owner, ok := e.owner(cert)
	now := time.Now()
	switch {
	case !ok:
		j.why = unreliable
	case k.cache.aged(e.read, now):
		j.why = aged
	case !k.certifier.valid(cert, now):
		j.why = uncertified
	case owner != tenantID:
		j.why, j.certain = otherOwner, true
	}
	return j
}

// toldSince is the time up to which everybody who watches has been told.
func (k *kept) toldSince() time.Duration {
	if cert := k.certifier.told.Load(); cert != nil {
		return cert.since.Sub(k.cache.began)
	}
	return 0
}

// missed takes note of a check that is going to be read, and why.
func (k *kept) missed(ctx context.Context, why string) {
	k.certifier.missed(why)
	k.telemetry.miss(ctx, why)
}

// mark is to be taken before a read is sent whose answer may be kept.
func (k *kept) mark(r registry.Resource) mark {
	if k == nil {
		return mark{}
	}
	return k.cache.mark(r, time.Now())
}

// keep puts what an allowed check has read into memory, where nothing became
// void since.
func (k *kept) keep(r registry.Resource, seen sighting) {
	if k == nil {
		return
	}
	k.telemetry.closed(k.cache.insert(r, seen.record.History, seen.ledger, seen.mark), plainSet)
	if cert := k.certifier.current.Load(); cert == nil || seen.ledger.Seq() > cert.ledger.Seq() {
		k.certifier.want() // the feed has not told of it yet
	}
}

// watch is what Watch does. The watch is there before the certificate is looked
// at: one that runs out later ends it.
func (k *kept) watch(ctx context.Context, r registry.Resource) <-chan struct{} {
	done, release := k.cache.watch(ctx, r)
	if cert := k.certifier.current.Load(); cert == nil || !k.certifier.valid(cert, time.Now()) {
		release()
		k.certifier.missed(uncertified)
		return closedWatch
	}
	k.certifier.keepAwake()
	return done
}
