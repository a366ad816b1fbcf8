package certified

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/listening"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// certifier follows the change feed: it removes what has changed from the table,
// and certifies that nothing else has. Certificates come from strong reads alone;
// the listener only makes changes known sooner.
type certifier struct {
	feed         ownership.Feed
	table        *table
	maxStaleness time.Duration
	maxAge       time.Duration
	ageWhenOver  time.Duration // instead of it while the registry says that plain sets are over
	timeout      time.Duration
	telemetry    *telemetry
	logger       *slog.Logger
	wake         chan struct{}
	listening    *listening.State

	current atomic.Pointer[certificate]
	told    atomic.Pointer[certificate] // the last one whose changes have reached all subscribers
	asked   atomic.Int64                // nanoseconds since the cache began: the last check that had to be read
	lapse   *time.Timer                 // fires when the certificate runs out
	asleep  atomic.Bool                 // the loop knows of no need for certificates

	cursor *ownership.FeedCursor // calls tell
}

const (
	// idleAfter is how long without checks, and with nothing watched, the feed is
	// still read.
	idleAfter = time.Minute
	// leastGap is the least time between the starts of two confirming reads.
	leastGap = 20 * time.Millisecond
	// expireEvery is the time between two scans for watches that are older than
	// MaxAge, or MaxStaleness/2 if that is less.
	expireEvery = time.Second
	// The waits after a failure to read the feed.
	firstRetry, mostRetry = 50 * time.Millisecond, 2 * time.Second
)

func newCertifier(feed ownership.Feed, t *table, o Options) *certifier {
	c := &certifier{
		feed: feed, table: t, maxStaleness: o.MaxStaleness, maxAge: o.MaxAge, ageWhenOver: o.AgeWhenOver, timeout: o.Timeout, logger: o.Logger,
		wake: make(chan struct{}, 1),
		listening: listening.New(o.Logger,
			"the change feed cannot be listened to: changes are seen by reading it",
			"the change feed is listened to again"),
	}
	c.cursor = ownership.NewFeedCursor(c.tell)
	c.lapse = time.AfterFunc(time.Hour, c.lapsed)
	c.lapse.Stop() // until there is a certificate
	return c
}

// certifies reports whether answers may rest on the current certificate.
func (c *certifier) certifies(now time.Time) bool {
	return c.current.Load().valid(now, c.maxStaleness)
}

// want wakes the loop if it is asleep.
func (c *certifier) want() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// keepAwake wakes the loop for a caller that needs certificates from now on. The
// caller must already be visible to idle.
func (c *certifier) keepAwake() {
	if c.asleep.Load() {
		c.want()
	}
}

// missed notes a check that could not be answered from memory.
func (c *certifier) missed(why string) {
	c.asked.Store(int64(time.Since(c.table.began)))
	if why == Uncertified {
		c.want()
	}
}

// run confirms until ctx ends.
func (c *certifier) run(ctx context.Context) {
	defer c.lapse.Stop()
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry),
		backoff.WithMaxInterval(mostRetry), backoff.WithMaxElapsedTime(0))
	failing := false
	for ctx.Err() == nil {
		sent := time.Now()
		err := c.confirm(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if !failing {
				c.logger.WarnContext(ctx, "the change feed cannot be read: checks read the store", "error", err)
			}
			failing = true
			pause(ctx, retry.NextBackOff())
		default:
			if failing {
				c.logger.InfoContext(ctx, "the change feed is read again")
			}
			failing = false
			retry.Reset()
			c.rest(ctx, sent)
		}
	}
	c.current.Store(nil)
	c.told.Store(nil)
	c.table.closeWatches(func(*watch) bool { return true })
}

// rest waits until the next confirming read is due, or wanted.
func (c *certifier) rest(ctx context.Context, sent time.Time) {
	var due <-chan time.Time
	c.asleep.Store(true) // before idle looks for watches: later ones wake the loop
	defer c.asleep.Store(false)
	if !c.idle() {
		c.asleep.Store(false)
		timer := time.NewTimer(time.Until(sent.Add(c.maxStaleness / 2)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-c.wake:
		pause(ctx, time.Until(sent.Add(leastGap)))
	}
}

// idle reports whether there is no need for certificates. It is called at each
// rest, and sees hits by their count.
func (c *certifier) idle() bool {
	if c.table.watching.Load() > 0 || c.table.subscriptions.count() > 0 {
		return false
	}
	now := time.Since(c.table.began)
	if c.table.hitsChanged() {
		c.asked.Store(int64(now))
	}
	return now-time.Duration(c.asked.Load()) > idleAfter
}

// expire ends watches that rest on reads which are too old, until ctx ends.
func (c *certifier) expire(ctx context.Context) {
	for pause(ctx, min(expireEvery, c.maxStaleness/2)) {
		c.telemetry.closed(c.table.expire(time.Since(c.table.began)), Aged)
	}
}

// lapsed ends all watches if the certificate has run out.
func (c *certifier) lapsed() {
	now := time.Now()
	if cert := c.current.Load(); cert.valid(now, c.maxStaleness) { // a newer one
		c.lapse.Reset(max(cert.since.Add(c.maxStaleness).Sub(now)+1, time.Millisecond))
		return
	}
	c.telemetry.closed(c.table.closeWatches(func(*watch) bool { return true }), Uncertified)
}

// pause waits for d, and returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
