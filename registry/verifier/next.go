package verifier

import (
	"context"
	"slices"
	"time"
)

// plainSetSlack is how much later than MaxAge a plain set may be reported.
const plainSetSlack = time.Second

// Next waits for news. It returns losses as soon as they are known, many at once
// together. It certifies at least every MaxStaleness/2, however many losses there
// are. It returns an error only if ctx or the watch has ended.
func (w *Watcher) Next(ctx context.Context) (News, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return News{}, context.Cause(ctx)
		}
		if w.life.Err() != nil {
			return News{}, errClosed
		}
		news, due := w.news()
		if due <= 0 {
			return news, nil
		}
		timer.Reset(due)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
		case <-w.life.Done():
		}
	}
}

// news returns the news; if there is none, it returns how long to wait for a signal
// before asking again.
//
// The order matters. The certificate is loaded first: every change before it has
// touched its items by now, so they are pending. Those of them that are lost are
// reported with it.
func (w *Watcher) news() (News, time.Duration) {
	now := time.Now()
	certifiedSince, certifies := w.v.cache.Told(now)
	at := w.v.cache.Elapsed(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ageLocked(now)

	most := w.v.maxStaleness
	heartbeat := w.toldAt.Add(most * 17 / 40).Sub(now) // sooner than every MaxStaleness/2, which the way to thousands of clients takes a part of
	news := News{At: now}
	wait := heartbeat
	if len(w.lost) > 0 {
		// While items are being verified, more losses of the same change may
		// follow.
		held := w.lostSince + most/8 - at
		if !w.verifying || held <= 0 {
			news.Lost = w.takeLostLocked()
			wait = 0
		} else {
			wait = min(wait, held)
		}
	}

	reason, since := w.standingLocked(certifiedSince, certifies, at)
	age := max(0, at-since)
	switch {
	case reason != "":
		if reason != w.reason && (w.certified || heartbeat <= 0) {
			wait = 0
		}
		if wait <= 0 {
			news.Uncertain = reason
		}
	case w.reason != "" || !w.certified || since-w.toldSince >= most/4 || wait <= 0:
		news.Certified, news.Age = true, age
		wait = 0
	default:
		wait = min(wait, most-age+1)
	}
	if wait > 0 {
		return News{}, wait
	}
	if news.Certified {
		w.certified, w.toldSince = true, since
	}
	w.toldAt, w.reason = now, reason
	return news, 0
}

// standingLocked returns the time up to which everything has been reported, or the
// reason why that is not known.
func (w *Watcher) standingLocked(certifiedSince time.Duration, certifies bool, at time.Duration) (reason string, since time.Duration) {
	switch {
	case w.unverified > 0:
		return FeedGap, 0
	case !certifies:
		return Uncertified, 0
	}
	since = w.frontierLocked(certifiedSince)
	if at-since > w.v.maxStaleness {
		return Unverified, 0
	}
	return "", since
}

// takeLostLocked returns the losses, and marks them as reported.
func (w *Watcher) takeLostLocked() []int {
	lost := make([]int, len(w.lost))
	for j, i := range w.lost {
		lost[j] = int(i)
		delete(w.pending, i)
	}
	w.lost = w.lost[:0]
	slices.Sort(lost)
	return lost
}
