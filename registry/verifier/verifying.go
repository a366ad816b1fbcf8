package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/registry"
)

// startVerifying, with mu held, makes sure that what is dirty is verified.
func (w *Watcher) startVerifying() {
	if !w.verifying && len(w.dirty) > 0 && w.life.Err() == nil {
		w.verifying = true
		go w.verify()
	}
}

// verify looks at what is dirty until nothing is. What cannot be read is tried
// again with backoff.
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

// takeDirty returns what is to be looked at; nothing ends the verifying.
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

// look verifies items, from memory where that is enough, else by reads in turns.
// It returns an error if some could not be read, which are dirty again. The first
// look stands for a check of each: a no is read, and is bridged by the grace.
func (w *Watcher) look(ctx context.Context, indexes []int32, first bool) error {
	return w.readLists(ctx, w.remember(indexes, first, func(string) {}), first)
}

// remember settles what memory knows, and returns the rest, after it has said why.
func (w *Watcher) remember(indexes []int32, first bool, missed func(why string)) (rest []int32) {
	k := w.v.kept
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range indexes {
		it := &w.items[i]
		j := k.judge(it.TenantID, it.Resource)
		switch {
		case j.why == "" && (it.state&isAged == 0 || j.read > it.read):
			w.settle(i, true, j.since, j.read)
		case j.why == otherOwner && j.certain && !first:
			w.settle(i, false, j.since, j.read)
		case j.why == "":
			missed(aged)
			rest = append(rest, i)
		default:
			missed(j.why)
			rest = append(rest, i)
		}
	}
	return rest
}

// readLists reads what memory cannot tell, in lists.
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

// readList reads a list when its turn has come. By then others may have read what
// it wants: then memory knows.
func (w *Watcher) readList(ctx context.Context, indexes []int32, first bool) error {
	select {
	case w.v.lists <- struct{}{}:
	case <-ctx.Done():
		w.failed(indexes)
		return unavailable(context.Cause(ctx))
	}
	leave := sync.OnceFunc(func() { <-w.v.lists })
	defer leave()
	indexes = w.remember(indexes, first, func(why string) { w.v.kept.missed(ctx, why) })
	if len(indexes) == 0 {
		return nil
	}
	asked := make([]Ownership, len(indexes))
	for j, i := range indexes {
		asked[j] = w.items[i].Ownership
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
			if !first { // others may watch what was this tenant's
				w.v.kept.keep(asked[j].Resource, seen[j])
			}
		case errors.Is(errs[j], registry.ErrTooNew): // it alone is at fault
			failed = &IndexError{int(i), errs[j]}
		case failed == nil:
			failed = errs[j]
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for j, i := range indexes {
		if errs[j] == nil || isRefusal(errs[j]) {
			w.settle(i, errs[j] == nil, seen[j].mark.sent, seen[j].mark.sent)
		} else {
			w.items[i].state &^= isChecked
			w.soil(i)
		}
	}
	return failed
}

// failed has items that could not be looked at verified again.
func (w *Watcher) failed(indexes []int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range indexes {
		w.items[i].state &^= isChecked
		w.soil(i)
	}
}

// settle, with mu held, takes what was found out about an item, as of a time, by
// a read of a time. It stays pending where it was touched meanwhile, and where it
// is lost, which is to be told.
func (w *Watcher) settle(i int32, owned bool, confirmed, read time.Duration) {
	it := &w.items[i]
	it.state &^= isChecked
	if it.state&isUnverified != 0 && (!owned || confirmed >= w.forgot) {
		it.state &^= isUnverified
		w.unverified--
	}
	if !owned {
		if len(w.lost) == 0 {
			w.lostSince = time.Since(w.v.kept.cache.began)
		}
		it.state |= isGone
		w.lost = append(w.lost, i)
		w.v.kept.cache.unsubscribe(&w.subs[i])
		return
	}
	it.state &^= isAged
	it.confirmed, it.read = max(it.confirmed, confirmed), max(it.read, read)
	if it.state&isDirty == 0 {
		delete(w.pending, i)
	}
}

// age, with mu held, has what was read long ago read again, before it is older
// than MaxAge, since plain sets are told to nobody: spread, so that what was asked for at one time is not read at one
// time for ever.
func (w *Watcher) age(now time.Time) {
	c := w.v.kept.cache
	if c.maxAge <= 0 || now.Sub(w.aged) < min(expireEvery, w.v.maxStaleness/2) {
		return
	}
	w.aged = now
	at := now.Sub(c.began)
	w.oldest = at
	for i := range w.items {
		it := &w.items[i]
		if it.state&isGone != 0 {
			continue
		}
		w.oldest = min(w.oldest, it.read)
		young := c.maxAge/2 + time.Duration(rand.Int64N(int64(c.maxAge/2)+1))
		if at-it.read > young && it.state&(isDirty|isChecked) == 0 {
			it.state |= isAged
			w.soil(int32(i))
		}
	}
	w.startVerifying()
}

func isRefusal(err error) bool { return errors.Is(err, registry.ErrNotFound) }
