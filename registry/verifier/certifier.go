package verifier

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/listening"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// certificate says that everything which was committed before since is in the
// ledger, or has been taken out of the cache. It never changes.
type certificate struct {
	since  time.Time // before the confirming read was sent
	at     time.Time // of that read, by the store's clock
	ledger *ownership.Ledger

	// unmoved is the fold of all that this ledger leaves where they were.
	// Certificates in a row have it in common, where the ledger is the same.
	unmoved *fold
}

// valid reports whether the certificate is not older than most, by the monotonic
// clock and by the wall clock: the first stands still while a machine is
// suspended, the second may be set back.
func (c *certificate) valid(now time.Time, most time.Duration) bool {
	return now.Sub(c.since) <= most && now.UnixNano()-c.since.UnixNano() <= int64(most)
}

// certifier follows the change feed: it takes out of the cache what has changed,
// and certifies that nothing else has. Certificates come from strong reads alone;
// the listener only makes it quick.
type certifier struct {
	feed      ownership.Feed
	cache     *cache
	options   Options
	telemetry *feedTelemetry
	logger    *slog.Logger
	wake      chan struct{}
	listening *listening.State

	current atomic.Pointer[certificate]
	told    atomic.Pointer[certificate] // the last of which all Watchers have been told what it ends
	asked   atomic.Int64                // nanoseconds since the cache began: the last check that was read through
	lapse   *time.Timer                 // fires when the certificate runs out
	asleep  atomic.Bool                 // nobody needs certificates, as far as the loop knows

	cursor *ownership.FeedCursor // calls tell

	omit atomic.Bool // certification, for tests that it is needed
}

const (
	// idleAfter: where nobody has asked for so long, and nobody watches, the
	// feed is not read.
	idleAfter = time.Minute
	// leastGap is between the starts of two confirming reads.
	leastGap = 20 * time.Millisecond
	// expireEvery is between two looks for watches that are older than MaxAge,
	// or MaxStaleness/2 where that is less.
	expireEvery = time.Second
	// Waits after a failure.
	firstRetry, mostRetry = 50 * time.Millisecond, 2 * time.Second
)

func newCertifier(feed ownership.Feed, c *cache, o Options, t *feedTelemetry) *certifier {
	f := &certifier{
		feed: feed, cache: c, options: o, telemetry: t, logger: o.Logger,
		wake: make(chan struct{}, 1),
		listening: listening.New(o.Logger,
			"the change feed cannot be listened to: changes are seen by reading it",
			"the change feed is listened to again"),
	}
	f.cursor = ownership.NewFeedCursor(f.tell)
	f.lapse = time.AfterFunc(time.Hour, f.lapsed)
	f.lapse.Stop() // until there is a certificate
	return f
}

// valid reports whether answers may rest on the certificate now.
func (c *certifier) valid(cert *certificate, now time.Time) bool {
	return c.omit.Load() || cert.valid(now, c.options.MaxStaleness)
}

// want wakes the loop, where it sleeps.
func (c *certifier) want() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// keepAwake is called by who needs certificates from now on, and has said so.
func (c *certifier) keepAwake() {
	if c.asleep.Load() {
		c.want()
	}
}

// missed is told of a check that could not be answered from memory.
func (c *certifier) missed(why string) {
	c.asked.Store(int64(time.Since(c.cache.began)))
	if why == uncertified {
		c.want()
	}
}

// run confirms until ctx ends.
func (c *certifier) run(ctx context.Context) {
	defer c.lapse.Stop()
	go c.listen(ctx)
	if c.cache.maxAge > 0 {
		go c.expire(ctx)
	}
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
	c.cache.closeWatches(func(*watch) bool { return true })
}

// rest waits until the next confirming read is due, or wanted.
func (c *certifier) rest(ctx context.Context, sent time.Time) {
	var due <-chan time.Time
	c.asleep.Store(true) // before it is looked who watches: who comes later wakes
	defer c.asleep.Store(false)
	if !c.idle() {
		c.asleep.Store(false)
		timer := time.NewTimer(time.Until(sent.Add(c.options.MaxStaleness / 2)))
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

// idle reports whether nobody needs certificates. It is called at each rest, so
// that hits are seen by their count.
func (c *certifier) idle() bool {
	if c.cache.watching.Load() > 0 || c.cache.watchers.count() > 0 {
		return false
	}
	now := time.Since(c.cache.began)
	if c.cache.hitsChanged() {
		c.asked.Store(int64(now))
	}
	return now-time.Duration(c.asked.Load()) > idleAfter
}

// confirm reads the feed and the ledger, and certifies.
func (c *certifier) confirm(ctx context.Context) (err error) {
	sent := time.Now()
	defer func() { c.telemetry.confirmed(ctx, time.Since(sent), err) }()
	ctx, cancel := context.WithTimeout(ctx, c.patience(sent))
	defer cancel()
	batch, err := c.feed.Changes(ctx, c.cursor)
	if err != nil {
		return err
	}
	c.take(batch, sent)
	return nil
}

// patience is how long a confirming read may take. One that takes longer than
// MaxStaleness certifies nothing, so another may be better; but it does bring the
// cursor on: the longer there is no certificate, the longer it may take.
func (c *certifier) patience(now time.Time) time.Duration {
	since := c.cache.began
	if cert := c.current.Load(); cert != nil {
		since = cert.since
	}
	return min(c.options.Timeout, max(c.options.MaxStaleness, now.Sub(since)))
}

// take applies a batch, whose entries the cursor has told: what changed is out of
// the cache before the certificate that covers it is there to be used.
func (c *certifier) take(batch ownership.FeedBatch, sent time.Time) {
	before := c.current.Load()
	cert := &certificate{since: sent, at: batch.At, ledger: batch.Ledger, unmoved: newUnmoved()}
	switch {
	case batch.Missed, before != nil && (suspended(before.since, sent) || batch.Ledger.Seq() < before.ledger.Seq()):
		c.drop()
	case before != nil && before.ledger.Seq() == batch.Ledger.Seq():
		cert.unmoved = before.unmoved
	}
	c.current.Store(cert)
	if before != nil && before.ledger.Seq() != batch.Ledger.Seq() {
		c.telemetry.closed(c.cache.flip(before.ledger, batch.Ledger), tenantMoved)
		c.cache.turn(cert).deliver()
	}
	c.telemetry.closed(c.cache.silence(batch.Ledger), unreliable)
	c.told.Store(cert)
	c.cache.watchers.each((*Watcher).signal)
	c.lapse.Reset(time.Until(sent.Add(c.options.MaxStaleness)))
}

// expire ends the watches that rest on reads which are too old.
func (c *certifier) expire(ctx context.Context) {
	for pause(ctx, min(expireEvery, c.options.MaxStaleness/2)) {
		c.telemetry.closed(c.cache.expire(time.Since(c.cache.began)), aged)
	}
}

// suspended reports whether the machine stood still between two times: then the
// ages of cached entries, which the monotonic clock counts, are wrong.
func suspended(from, to time.Time) bool {
	const skew = 500 * time.Millisecond
	return to.Round(0).Sub(from.Round(0))-to.Sub(from) > skew
}

// drop takes everything out of the cache.
func (c *certifier) drop() {
	c.telemetry.closed(c.cache.drop(), feedGap)
	c.cache.watchers.each((*Watcher).forget)
}

// tell takes out of the cache what has changed. The cursor calls it, for the
// loop and for the listener.
func (c *certifier) tell(entries []ownership.FeedEntry) {
	into := touched{}
	for _, e := range entries {
		if e.Unread != nil {
			c.drop()
		}
		for _, r := range e.Resources {
			c.telemetry.closed(c.cache.invalidate(r, into), changed)
		}
		c.telemetry.changes.Add(context.Background(), int64(len(e.Resources)))
	}
	into.deliver()
}

// lapsed ends all watches where the certificate has run out.
func (c *certifier) lapsed() {
	now := time.Now()
	if cert := c.current.Load(); cert != nil && c.valid(cert, now) { // a newer one
		c.lapse.Reset(max(cert.since.Add(c.options.MaxStaleness).Sub(now)+1, time.Millisecond))
		return
	}
	c.telemetry.closed(c.cache.closeWatches(func(*watch) bool { return true }), uncertified)
}
