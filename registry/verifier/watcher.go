package verifier

import (
	"context"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// Ownership is what a Watcher watches: that the tenant owns the resource.
type Ownership struct {
	TenantID string
	Resource registry.Resource
}

// A Watcher reports what becomes of many ownerships: which of them end, and up to
// which time nothing else has changed. WatchAll returns it. One goroutine may call
// Next; any may call Close.
//
// Nothing in it waits for the caller of Next: news that is not fetched takes at
// most one entry for each ownership.
type Watcher struct {
	v       *Verifier
	life    context.Context // ends with Close, and with the verifier
	cancel  context.CancelFunc
	asked   []certified.Ownership   // as in WatchAll's list; never changes
	changes *certified.Subscription // to those of asked
	wake    chan struct{}           // there may be news

	mu         sync.Mutex
	items      []item // one for each of asked
	pending    map[int32]struct{}
	dirty      []int32       // to be verified
	lost       []int32       // to be reported
	lostSince  time.Duration // when the first of them was found
	verifying  bool          // a goroutine is verifying
	dropped    time.Duration // when the cache was dropped last
	unverified int           // items not verified since then
	oldest     time.Duration // not later than the oldest of the reads of all items

	aged time.Time // when the ages of the reads were last scanned

	// The fields below belong to Next.
	certified bool          // a certificate has been reported
	toldSince time.Duration // the time of the last certificate: everything before it has been reported
	toldAt    time.Time     // when Next last returned news
	reason    string        // why nothing is certified; "" if something is
}

// item is one ownership and what is known of it. Times are since the cache began.
//
// An item that is not pending is owned as of every certificate whose changes have
// been reported. One that is pending has been touched by a later change. Until it
// has been verified again, it is owned as of confirmed.
type item struct {
	confirmed time.Duration
	read      time.Duration // when the last read of it was sent
	state     itemState
}

type itemState uint8

const (
	isDirty      itemState = 1 << iota // touched since it was last looked at
	isChecked                          // being verified now
	isAged                             // its read is too old: memory does not suffice
	isGone                             // not owned, and no longer watched
	isUnverified                       // not verified since the cache was dropped
)

// News is what Next returns. Act on what is lost before what is certified.
type News struct {
	// Lost are the indexes, in WatchAll's list, of the ownerships that have ended.
	// They are no longer watched, even if they come back.
	Lost []int

	// Certified says that every change committed more than Age before At has been
	// reported, by this News at the latest. A plain set is reported up to MaxAge
	// and a second later.
	Certified bool
	At        time.Time
	Age       time.Duration

	// Uncertain, if it is not empty, says why nothing is certified until further
	// News: Uncertified, FeedGap or Unverified.
	Uncertain string
}

// Why nothing is certified.
const (
	// Uncertified: the change feed could not be read for MaxStaleness.
	Uncertified = "uncertified"
	// FeedGap: the feed may have missed something. Everything that is watched is
	// verified again before the next certificate.
	FeedGap = "feed_gap"
	// Unverified: something that may have changed could not be read.
	Unverified = "unverified"
)

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() {
	w.cancel()
	w.changes.Close()
}

// signal wakes Next up.
func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// subscriber is the Watcher's side towards the cache.
type subscriber struct{ *Watcher }

// Certified makes Next look at the new certificate.
func (w subscriber) Certified() { w.signal() }

// Changed has the ownerships that a change may have ended verified again.
func (w subscriber) Changed(indexes []int32) {
	told, _ := w.v.cache.Told(time.Now())
	w.mu.Lock()
	for _, i := range indexes {
		w.touchLocked(i, told, 0)
	}
	w.startVerifyingLocked()
	w.mu.Unlock()
	w.signal()
}

// Dropped has everything verified again.
func (w subscriber) Dropped() {
	now := time.Now()
	told, _ := w.v.cache.Told(now)
	w.mu.Lock()
	w.dropped = w.v.cache.Elapsed(now)
	for i := range w.items {
		w.touchLocked(int32(i), told, isUnverified)
	}
	w.startVerifyingLocked()
	w.mu.Unlock()
	w.signal()
}

// touchLocked notes that a change may have ended an ownership. If it was not
// pending, it holds as of the last certificate whose changes have been reported,
// since this change is not among them.
func (w *Watcher) touchLocked(i int32, told time.Duration, also itemState) {
	it := &w.items[i]
	if it.state&isGone != 0 {
		return
	}
	if also&isUnverified != 0 && it.state&isUnverified == 0 {
		w.unverified++
	}
	it.state |= also
	if _, is := w.pending[i]; !is {
		it.confirmed = max(it.confirmed, it.read, told)
		w.pending[i] = struct{}{}
	}
	w.soilLocked(i)
}

// soilLocked marks an item as dirty.
func (w *Watcher) soilLocked(i int32) {
	if w.items[i].state&isDirty == 0 {
		w.items[i].state |= isDirty
		w.dirty = append(w.dirty, i)
	}
}

// frontierLocked returns the time up to which all changes have been reported, or
// are in w.lost, given the time of the cache's certificate.
func (w *Watcher) frontierLocked(certified time.Duration) time.Duration {
	f := certified
	for i := range w.pending {
		f = min(f, w.items[i].confirmed)
	}
	if maxAge := w.v.cache.MaxAge(); maxAge > 0 && len(w.items) > 0 {
		f = min(f, w.oldest+maxAge+plainSetSlack)
	}
	return f
}
