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

// Watcher tells what becomes of many ownerships: which of them end, and up to when
// nothing else has changed. WatchAll returns it. Next is called by one goroutine,
// Close by any.
//
// Nothing in it waits for the caller of Next: what is not fetched is at most one
// entry for each ownership.
type Watcher struct {
	v       *Verifier
	life    context.Context // ends with Close, and with the verifier
	cancel  context.CancelFunc
	asked   []certified.Ownership   // as in WatchAll's list; never changes
	changes *certified.Subscription // to those of asked
	wake    chan struct{}           // there may be something to tell

	mu         sync.Mutex
	items      []item // one for each of asked
	pending    map[int32]struct{}
	dirty      []int32       // to be verified
	lost       []int32       // to be told
	lostSince  time.Duration // when the first of them was found
	verifying  bool          // there is a goroutine that verifies
	dropped    time.Duration // when the cache was dropped last
	unverified int           // items not verified since then
	oldest     time.Duration // not later than the oldest of the reads of all items

	aged time.Time // when the ages of the reads were last looked through

	// The fields below are Next's own.
	certified bool          // something was, once
	toldSince time.Duration // what was certified last: everything before it is told
	toldAt    time.Time     // when anything was told last
	reason    string        // why nothing is certified; "" if something is
}

// item is one ownership and what is known of it. Times are since the cache began.
//
// One that is not pending is owned as of every certificate whose changes have been
// told. One that is pending has been touched by a change since, and is owned as
// of confirmed, until it has been verified again.
type item struct {
	confirmed time.Duration
	read      time.Duration // when the last read of it was sent
	state     itemState
}

type itemState uint8

const (
	isDirty      itemState = 1 << iota // touched since it was last looked at
	isChecked                          // looked at just now
	isAged                             // its read is too old: memory is not enough
	isGone                             // not owned; not watched any more
	isUnverified                       // not verified since the cache was dropped
)

// News is what Next returns. What is lost is to be told before what is certified.
type News struct {
	// Lost are the indexes, in WatchAll's list, of the ownerships that have ended.
	// They are not watched any more, even if they come back.
	Lost []int

	// Certified says that every change which was committed more than Age before
	// At has been told, by this News at the latest. Programs that write documents
	// with plain sets are told of MaxAge and a second later.
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
	// FeedGap: the feed may have missed something. All that is watched is
	// verified again before anything is certified.
	FeedGap = "feed_gap"
	// Unverified: something that may have changed could not be read.
	Unverified = "unverified"
)

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() {
	w.cancel()
	w.changes.Close()
}

// signal wakes Next.
func (w *Watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// subscriber is a Watcher as the cache sees it.
type subscriber struct{ *Watcher }

// Certified makes Next look at the new certificate.
func (w subscriber) Certified() { w.signal() }

// Changed has what a change may have ended verified again.
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

// touchLocked notes that a change may have ended an ownership. If that was not
// pending, it holds as of the last certificate whose changes have been told, since
// this change is not among them.
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

// soilLocked has an item verified.
func (w *Watcher) soilLocked(i int32) {
	if w.items[i].state&isDirty == 0 {
		w.items[i].state |= isDirty
		w.dirty = append(w.dirty, i)
	}
}

// frontierLocked is the time up to which all changes have been told, or are in
// w.lost, given since when the cache is certified.
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
