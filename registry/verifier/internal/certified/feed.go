package certified

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

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
// MaxStaleness certifies nothing, so another may do better. But it does advance the
// cursor: the longer there is no certificate, the longer it may take.
func (c *certifier) patience(now time.Time) time.Duration {
	since := c.table.began
	if cert := c.current.Load(); cert != nil {
		since = cert.since
	}
	return min(c.timeout, max(c.maxStaleness, now.Sub(since)))
}

// take applies a batch whose entries the cursor has reported: whatever changed is
// out of the table before the certificate that covers it can be used.
func (c *certifier) take(batch ownership.FeedBatch, sent time.Time) {
	before := c.current.Load()
	cert := &certificate{since: sent, ledger: batch.Ledger, generation: 1}
	if before != nil {
		cert.generation = before.generation + 1
	}
	number, sameEra := c.table.eraOf(batch.Ledger)
	if !sameEra { // nothing is answered from memory until all of it is gone
		c.current.Store(nil)
		c.logger.Warn("the registry was recovered: everything is forgotten, and verified anew")
	}
	switch {
	case !sameEra, batch.Missed, before != nil && (suspended(before.since, sent) || batch.Ledger.Position() < before.ledger.Position()):
		c.drop()
	case before != nil && before.ledger.Position() == batch.Ledger.Position():
		cert.generation = before.generation
	}
	if !sameEra {
		number = c.table.beginEra(batch.Ledger)
	}
	cert.era = number
	c.bound(batch.PlainSetsOver)
	c.current.Store(cert)
	if before != nil && sameEra && before.ledger.Position() != batch.Ledger.Position() {
		c.telemetry.closed(c.table.flip(before.ledger, batch.Ledger), tenantMoved)
		c.table.turn(cert).deliver()
	}
	c.telemetry.closed(c.table.silence(batch.Ledger), Unreliable)
	c.told.Store(cert)
	c.table.subscriptions.each(Subscriber.Certified)
	c.lapse.Reset(time.Until(sent.Add(c.maxStaleness)))
}

// bound follows what the registry says of plain sets, before a certificate can be
// used for answers. Without a read of the registry there is no certificate.
func (c *certifier) bound(plainSetsOver bool) {
	age := c.maxAge
	if plainSetsOver {
		age = c.ageWhenOver
	}
	c.table.maxAge.Store(int64(age))
}

// drop empties the table.
func (c *certifier) drop() {
	c.telemetry.closed(c.table.drop(), feedGap)
	c.table.subscriptions.each(Subscriber.Dropped)
}

// tell removes what has changed from the table. The cursor calls it, for the loop
// and for the listener.
func (c *certifier) tell(entries []ownership.FeedEntry) {
	into := touched{}
	for _, e := range entries {
		if e.Unread != nil {
			c.drop()
		}
		for _, r := range e.Resources {
			c.telemetry.closed(c.table.invalidate(r, into), changed)
		}
		c.telemetry.changed(len(e.Resources))
	}
	into.deliver()
}

// listen applies changes as they happen, until ctx ends, and connects again when
// the listener ends.
func (c *certifier) listen(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second),
		backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		began := time.Now()
		err := c.feed.Listen(ctx, c.cursor, func(position int64) {
			c.listening.Lives(ctx)
			if cert := c.current.Load(); cert != nil && position > cert.ledger.Position() {
				c.want()
			}
		})
		if ctx.Err() != nil {
			return
		}
		c.listening.Ended(ctx, err)
		if time.Since(began) > time.Minute {
			retry.Reset()
		}
		pause(ctx, retry.NextBackOff())
	}
}
