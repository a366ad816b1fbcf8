package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// Waits after a failure to verify again.
const firstRetry, mostRetry = 50 * time.Millisecond, 2 * time.Second

// startVerifyingLocked makes sure that what is dirty is verified.
func (w *Watcher) startVerifyingLocked() {
	if !w.verifying && len(w.dirty) > 0 && w.life.Err() == nil {
		w.verifying = true
		go w.verify()
	}
}

// verify verifies dirty items until there are none. It retries failed reads with
// backoff.
func (w *Watcher) verify() {
	defer w.signal()
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry),
		backoff.WithMaxInterval(mostRetry), backoff.WithMaxElapsedTime(0))
	for {
		batch := w.takeDirty()
		if len(batch) == 0 {
			return
		}
		err := w.look(w.life, batch, false)
		w.signal()
		if err == nil {
			retry.Reset()
		} else if !pause(w.life, retry.NextBackOff()) {
			return
		}
	}
}

// takeDirty returns the dirty items. If there are none, the verifying ends.
func (w *Watcher) takeDirty() (batch []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range w.dirty {
		it := &w.items[i]
		it.state &^= isDirty
		if it.state&isGone == 0 {
			it.state |= isChecked
			batch = append(batch, i)
		}
	}
	w.dirty = nil
	w.verifying = len(batch) > 0
	return batch
}

// look verifies items, from memory if that suffices, else with reads that take
// turns. If some could not be read, they are dirty again, and it returns an error.
// The first look stands for a check of each item: a no is read, and the grace
// applies.
func (w *Watcher) look(ctx context.Context, indexes []int32, first bool) error {
	return w.readLists(ctx, w.fromMemory(indexes, first, func(string) {}), first)
}

// fromMemory records what memory knows. It counts the reasons for the rest, and
// returns it.
func (w *Watcher) fromMemory(indexes []int32, first bool, missed func(why string)) (rest []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range indexes {
		it := &w.items[i]
		j := w.v.cache.Judge(w.asked[i].TenantID, w.asked[i].Resource)
		switch {
		case j.Why == "" && (it.state&isAged == 0 || j.Read > it.read):
			w.recordLocked(i, true, j.Since, j.Read)
		case j.Why == certified.OtherOwner && j.Certain && !first:
			w.recordLocked(i, false, j.Since, j.Read)
		case j.Why == "":
			missed(certified.Aged)
			rest = append(rest, i)
		default:
			missed(j.Why)
			rest = append(rest, i)
		}
	}
	return rest
}

// readLists reads items that memory does not answer, in lists.
func (w *Watcher) readLists(ctx context.Context, indexes []int32, first bool) error {
	errs := make([]error, (len(indexes)+maxList-1)/maxList)
	var all sync.WaitGroup
	for n := range errs {
		list := indexes[n*maxList : min((n+1)*maxList, len(indexes))]
		all.Go(func() { errs[n] = w.readList(ctx, list, first) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// readList reads a list when its turn has come. By then other reads may have
// brought the answers into memory, so it looks there first.
func (w *Watcher) readList(ctx context.Context, indexes []int32, first bool) error {
	select {
	case w.v.lists <- struct{}{}:
	case <-ctx.Done():
		w.failed(indexes)
		return unavailable(context.Cause(ctx))
	}
	leave := sync.OnceFunc(func() { <-w.v.lists })
	defer leave()
	indexes = w.fromMemory(indexes, first, func(why string) { w.v.cache.Missed(ctx, why) })
	if len(indexes) == 0 {
		return nil
	}
	asked := make([]Ownership, len(indexes))
	for j, i := range indexes {
		asked[j] = Ownership(w.asked[i])
	}
	var grace time.Duration
	if first {
		grace = w.v.missGrace
	}
	seen, errs := w.v.readOwnerships(ctx, asked, leave, grace)
	var failed error
	for j, i := range indexes {
		switch {
		case errs[j] == nil:
		case isRefusal(errs[j]):
			if !first { // others may watch the resource, which was this tenant's
				w.v.keep(asked[j].Resource, seen[j])
			}
		case errors.Is(errs[j], registry.ErrTooNew): // this item alone is at fault
			failed = &IndexError{int(i), errs[j]}
		case failed == nil:
			failed = errs[j]
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for j, i := range indexes {
		if errs[j] == nil || isRefusal(errs[j]) {
			w.recordLocked(i, errs[j] == nil, seen[j].mark.Sent, seen[j].mark.Sent)
		} else {
			w.items[i].state &^= isChecked
			w.soilLocked(i)
		}
	}
	return failed
}

// failed marks items that could not be verified as dirty again.
func (w *Watcher) failed(indexes []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range indexes {
		w.items[i].state &^= isChecked
		w.soilLocked(i)
	}
}

// recordLocked records what is known of an item: as of which time, and when its
// read was sent. The item stays pending if it was touched meanwhile, or if it is
// lost, which has to be reported.
func (w *Watcher) recordLocked(i int32, owned bool, confirmed, read time.Duration) {
	it := &w.items[i]
	it.state &^= isChecked
	if it.state&isUnverified != 0 && (!owned || confirmed >= w.dropped) {
		it.state &^= isUnverified
		w.unverified--
	}
	if !owned {
		if len(w.lost) == 0 {
			w.lostSince = w.v.cache.Elapsed(time.Now())
		}
		it.state |= isGone
		w.lost = append(w.lost, i)
		w.changes.Drop(i)
		return
	}
	it.state &^= isAged
	it.confirmed, it.read = max(it.confirmed, confirmed), max(it.read, read)
	if it.state&isDirty == 0 {
		delete(w.pending, i)
	}
}

// ageEvery is the time between two scans for old reads, or MaxStaleness/2 if that
// is less.
const ageEvery = time.Second

// ageLocked has items read again before their reads are older than MaxAge, since
// plain sets leave no notice. It spreads the reads, so that items that were asked
// for together are not read together for ever.
func (w *Watcher) ageLocked(now time.Time) {
	maxAge := w.v.cache.MaxAge()
	if maxAge <= 0 || now.Sub(w.aged) < min(ageEvery, w.v.maxStaleness/2) {
		return
	}
	w.aged = now
	at := w.v.cache.Elapsed(now)
	w.oldest = at
	for i := range w.items {
		it := &w.items[i]
		if it.state&isGone != 0 {
			continue
		}
		w.oldest = min(w.oldest, it.read)
		young := maxAge/2 + time.Duration(rand.Int64N(int64(maxAge/2)+1))
		if at-it.read > young && it.state&(isDirty|isChecked) == 0 {
			it.state |= isAged
			w.soilLocked(int32(i))
		}
	}
	w.startVerifyingLocked()
}

func isRefusal(err error) bool { return errors.Is(err, registry.ErrNotFound) }
