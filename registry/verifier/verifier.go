// Package verifier answers the one question of a streaming transport: may this
// tenant stream this thread or canvas?
//
//	v, err := verifier.New(store, verifier.Options{})
//	defer v.Close()
//	err = v.VerifyThreadAccess(ctx, tenantID, threadID)
//
// # Answers
//
// nil: the tenant owns the resource. Otherwise, by errors.Is:
//
//   - registry.ErrNotFound: it does not. Either the resource has no owner or
//     another tenant owns it. The error is the same value, after the same work, so
//     that no one learns which ids exist. Answer 404.
//   - registry.ErrUnavailable: the store did not answer before the caller's
//     deadline or Options.Timeout, or too many checks wait already. Nothing is
//     known: do not let the tenant in, and do not tell it that the resource does
//     not exist. Answer 503.
//   - registry.ErrInvalid: the tenant or the id breaks its pattern (design §2).
//     The store was not asked. Answer 400.
//
// # Guarantees
//
// Without a cache (MaxStaleness 0) every check is decided by one strong read of
// the resource's history and the ledger, sent after the check began: an ownership
// or a move that was committed before the check is seen by it. The owner is the
// fold of the two (design §4), not the document's tenant_id, which may lag behind
// a move of a whole tenant.
//
// With MaxStaleness a yes may come from memory: a check that begins more than
// MaxStaleness after the commit of a move sees the move (design §6 shows why). A
// no is always read. While the change feed cannot be certified, everything is read.
// Programs that write documents with plain sets are seen after MaxAge.
//
// Checks that arrive while all reads are busy share the next one. Each waits no
// longer than its own deadline; a read that hangs holds up only the checks that
// it was sent for.
//
// A refusal takes a whole number of steps of 10 ms, or until the caller's
// deadline, so that its duration does not distinguish a missing resource from
// another tenant's.
//
// # What it does not do
//
// It does not authenticate: the caller has established which tenant asks. It
// answers for the moment of the check; a stream that is held open is to be
// verified again when it is resumed (Verify), and when its Watch is closed
// (Reverify): package verifierhttp does both.
//
// # Grace
//
// A client that connects before the event of its thread has been applied is
// refused, and a browser's EventSource does not come back after a 404. Create
// flows should claim before they answer (registry.Registry). For those that
// only publish, Options.MissGrace holds a refusal back and reads again, with
// backoff, until the grace or the caller's deadline ends. Each refusal then
// costs about a dozen reads for a grace of two seconds, and four more for every
// second above, missing and foreign alike.
//
// # Telemetry
//
// Metrics:
//
//   - registry.verifier.check.duration, seconds: one measurement per check that
//     was not answered from memory, by kind and by outcome (allowed, refused,
//     invalid, unavailable, shed, abandoned)
//   - registry.verifier.cache.hits: checks that were answered from memory, by
//     kind: these and the count of the above are all checks
//   - registry.verifier.cache.misses: checks that were read although there is a
//     cache, by reason (absent, uncertified, aged, unreliable, other_owner)
//   - registry.verifier.cache.entries, registry.verifier.cache.size: resources in
//     memory, and about how many bytes they take
//   - registry.verifier.refusals: refusals by kind and cause: unregistered,
//     foreign, moved_away (the tenant owned it once), or deleted
//   - registry.verifier.late_arrival, seconds: refused once, allowed later: how
//     long after the first refusal the ownership was there, by the store's
//     clock; by kind, by cause, and by whether the grace bridged it. This finds
//     the create flow that publishes late. The last 16,384 refusals are
//     remembered, each for an hour. Not counted: what came with the move of a
//     whole tenant and is answered from memory
//   - registry.verifier.read.duration, seconds: one measurement per read of the
//     store, by outcome (ok, error, abandoned)
//   - registry.verifier.read.resources: resources read
//   - registry.verifier.feed.age, seconds: since the read was sent that certifies
//     what is in memory; it grows without checks
//   - registry.verifier.feed.read.duration, seconds: reads of the change feed, by
//     outcome (ok, error)
//   - registry.verifier.feed.changes: changes that the feed told of
//   - registry.verifier.listener.connected: 1 while the listener lives that tells
//     of changes as they happen, else 0; without it changes are seen by the
//     reads of the feed, MaxStaleness/2 apart
//   - registry.verifier.watches: resources that are watched
//   - registry.verifier.watch.ended: watches that were closed, by reason
//     (changed, tenant_moved, aged, unreliable, plain_set, uncertified, feed_gap)
//
// Counters start at 0 for every value of their labels.
//
// A check is a span "registry.verify" with registry.tenant_id, registry.resource and
// registry.outcome; one that memory answers, if its caller records a trace.
//
// Each refusal is an event "registry.refused" on the check's span "registry.verify",
// and a log line "access refused": at most one a minute for the same tenant and
// resource, and at most ten a second in all; what was held back is counted in
// the next line. Labels and memory are bounded whatever is asked.
//
// The words are in docs/glossary.md.
package verifier

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// A Verifier checks access. It is safe for concurrent use.
type Verifier struct {
	life         context.Context // ends with Close
	stop         context.CancelFunc
	reader       *reader
	cache        *certified.Cache // nil: every check reads
	turns        chan struct{}    // one for each Reverify that reads
	lists        chan struct{}    // one for each list that a Watcher reads
	maxStaleness time.Duration
	missGrace    time.Duration
	telemetry    *telemetry
}

// Store is what a verifier reads. Packages fsregistry and memregistry open one;
// programs outside this module cannot implement it.
type Store = ownership.Store

// New returns a verifier over the store, which works until Close. The error lists
// every fault of the options.
func New(store Store, options Options) (*Verifier, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("verifier options: %w", err)
	}
	options = options.withDefaults()
	t, err := newTelemetry(options)
	if err != nil {
		return nil, fmt.Errorf("verifier telemetry: %w", err)
	}
	cache, err := newCache(store, options)
	if err != nil {
		return nil, fmt.Errorf("verifier cache: %w", err)
	}
	life, stop := context.WithCancel(context.Background())
	return &Verifier{
		life:         life,
		stop:         stop,
		reader:       newReader(life, store, cache, options, t),
		cache:        cache,
		turns:        make(chan struct{}, options.turns()),
		lists:        make(chan struct{}, options.lists()),
		maxStaleness: options.MaxStaleness,
		missGrace:    options.MissGrace,
		telemetry:    t,
	}, nil
}

// newCache returns nil if the options ask for no cache.
func newCache(store Store, o Options) (*certified.Cache, error) {
	if o.MaxStaleness == 0 {
		return nil, nil
	}
	feed, ok := store.(ownership.Feed)
	if !ok {
		return nil, fmt.Errorf("option MaxStaleness is %v: %T has no change feed", o.MaxStaleness, store)
	}
	return certified.New(feed, certified.Options{
		MaxStaleness: o.MaxStaleness, MaxAge: cmp.Or(o.MaxAge, usualMaxAge), AgeWhenOver: cmp.Or(o.MaxAge, maxAgeWhenOver), Timeout: o.Timeout,
		Entries: o.CacheEntries, Bytes: o.CacheBytes,
		Logger: o.Logger, MeterProvider: o.MeterProvider,
	})
}

// Close stops the verifier. Drain its callers first. When Close returns, the store
// is no longer read, every Watch is closed and every Watcher has ended; from then
// on each check returns ErrUnavailable. Close does not close the store. Close may
// be called more than once.
func (v *Verifier) Close() {
	v.reader.close(v.stop)
	v.cache.Close()
}

// MaxStaleness returns the option. A Watch is closed within it, and a stream that
// cannot be watched should be verified again as often. With 0 nothing can be
// watched.
func (v *Verifier) MaxStaleness() time.Duration { return v.maxStaleness }

// VerifyThreadAccess returns nil if the tenant owns the thread; else
// ErrNotFound, ErrUnavailable or ErrInvalid of package registry.
func (v *Verifier) VerifyThreadAccess(ctx context.Context, tenantID, threadID string) error {
	return v.Verify(ctx, tenantID, registry.Resource{Kind: registry.Thread, ID: threadID})
}

// VerifyCanvasAccess is VerifyThreadAccess for a canvas.
func (v *Verifier) VerifyCanvasAccess(ctx context.Context, tenantID, canvasID string) error {
	return v.Verify(ctx, tenantID, registry.Resource{Kind: registry.Canvas, ID: canvasID})
}

// Verify is VerifyThreadAccess for a resource of any kind.
func (v *Verifier) Verify(ctx context.Context, tenantID string, resource registry.Resource) error {
	owned, why := v.fromMemory(tenantID, resource)
	if owned {
		v.telemetry.fromMemory(ctx, tenantID, resource)
		return nil
	}
	return v.verify(ctx, tenantID, resource, why, v.decide)
}

// VerifyCached is Verify without a read. If it returns true, Verify would return
// nil. If it returns false, nothing is known, and the caller has to call Verify. It
// is for callers that want to save what only a read needs, such as a deadline.
func (v *Verifier) VerifyCached(tenantID string, resource registry.Resource) bool {
	owned, _ := v.fromMemory(tenantID, resource)
	return owned
}

// fromMemory answers a check from memory, or returns why it needs a read.
func (v *Verifier) fromMemory(tenantID string, resource registry.Resource) (owned bool, why string) {
	if v.cache == nil {
		return false, ""
	}
	owned, why = v.cache.Owns(tenantID, resource)
	if why == certified.Ageing {
		v.reader.renew(resource)
	}
	return owned, why
}

// A read returns what decides a check.
type read func(ctx context.Context, tenantID string, resource registry.Resource, check *check) (sighting, error)

// verify reads.
func (v *Verifier) verify(ctx context.Context, tenantID string, resource registry.Resource, why string, read read) (err error) {
	ctx, check := v.telemetry.begin(ctx, tenantID, resource)
	defer func() { check.end(ctx, err) }()
	if err := validate(tenantID, resource); err != nil {
		return err
	}
	v.cache.Missed(ctx, why)
	seen, err := read(ctx, tenantID, resource, check)
	if err != nil {
		return fmt.Errorf("verify %s: %w", resource, err)
	}
	err = v.conclude(ctx, tenantID, resource, check, seen)
	if err != nil {
		check.pad(ctx)
	}
	return err
}

// conclude answers a check from what was read, and keeps it if the answer is yes.
func (v *Verifier) conclude(ctx context.Context, tenantID string, resource registry.Resource, check *check, seen sighting) error {
	if err := seen.unfoldable(); err != nil {
		return fmt.Errorf("verify %s: %w", resource, err)
	}
	if !seen.ownedBy(tenantID) {
		check.refused(ctx, tenantID, resource, seen)
		return registry.ErrNotFound
	}
	v.keep(resource, seen)
	check.allowed(ctx, tenantID, resource, seen)
	return nil
}

// keep puts what was read into the cache.
func (v *Verifier) keep(resource registry.Resource, seen sighting) {
	v.cache.Keep(resource, seen.record.History, seen.ledger, seen.mark)
}

func validate(tenantID string, resource registry.Resource) error {
	if err := registry.ValidateTenant(tenantID); err != nil {
		return err
	}
	return resource.Validate()
}

// sighting is what one strong read saw of one resource.
type sighting struct {
	record   ownership.Record
	ledger   *ownership.Ledger
	readTime time.Time
	mark     certified.Mark // from before the read was sent
}

// unfoldable returns the error that keeps the owner of the resource from being
// known, or nil.
func (s sighting) unfoldable() error { return s.record.Unfoldable(s.ledger) }

func (s sighting) ownedBy(tenantID string) bool {
	owner, err := s.record.Owner(s.ledger)
	return err == nil && owner == tenantID
}
