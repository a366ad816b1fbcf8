// Package certified keeps the positive answers of access checks in memory and
// certifies them by the change feed (design §6).
//
// # What it keeps
//
// A Cache keeps histories, not owners. Each check folds the ledger of the newest
// certificate into the history, so that a move of a whole tenant makes nothing in
// the cache wrong. Only a positive answer is ever given from memory.
//
// # What it guarantees
//
// A certificate says that every change committed before a certain time is in its
// ledger, or is out of the cache. It comes from a strong read of the feed, and
// answers rest on it for Options.MaxStaleness, counted from before that read was
// sent. So an answer is never older than that, however late the feed's notices
// arrive: they only make it quick.
//
// Two kinds of history may change without an entry in the feed: documents that
// programs write with plain sets, which are bounded by Options.MaxAge, and those
// that a creation may still join (design §4, exemptions), which are not answered
// from memory at all.
//
// # How a check uses it
//
//	mark := cache.Mark(resource)          // before the read is sent
//	…                                     // a strong read
//	cache.Keep(resource, history, ledger, mark)
//	owned, why := cache.Owns(tenant, resource)
//	cache.Missed(ctx, why)                // if it has to be read
//
// Watch is for one open stream, Subscribe for many.
//
// The words are in docs/glossary.md.
package certified

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Options of a Cache. All are required.
type Options struct {
	MaxStaleness  time.Duration // how long answers rest on a certificate
	MaxAge        time.Duration // how long an answer is used after its read; negative: without bound
	AgeWhenOver   time.Duration // instead of MaxAge while the registry says that plain sets are over
	Timeout       time.Duration // of one read of the feed
	Entries       int           // resources kept, approximately
	Bytes         int64         // of memory, approximately
	Logger        *slog.Logger
	MeterProvider metric.MeterProvider
}

// A Cache keeps answers. It is safe for concurrent use. A nil Cache keeps none.
type Cache struct {
	table     *table
	certifier *certifier
	telemetry *telemetry
	stop      context.CancelFunc
	running   sync.WaitGroup
}

// New returns an empty cache that follows the feed until Close.
func New(feed ownership.Feed, o Options) (*Cache, error) {
	c := &Cache{table: newTable(o.Entries, o.Bytes, o.MaxAge)}
	c.certifier = newCertifier(feed, c.table, o)
	var err error
	if c.telemetry, err = newTelemetry(o.MeterProvider, c.Stats); err != nil {
		return nil, err
	}
	c.certifier.telemetry = c.telemetry
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() { c.certifier.run(ctx) })
	c.running.Go(func() { c.certifier.listen(ctx) })
	if o.MaxAge > 0 {
		c.running.Go(func() { c.certifier.expire(ctx) })
	}
	return c, nil
}

// Close ends the cache. When it returns, the feed is no longer read, all watches
// are closed, and nothing is answered from memory.
func (c *Cache) Close() {
	if c == nil {
		return
	}
	c.stop()
	c.running.Wait()
	c.telemetry.unregister()
}

// Stats are the figures of a cache at one time.
type Stats struct {
	Entries, Bytes         int64     // kept in memory; bytes approximately
	ThreadHits, CanvasHits int64     // checks answered from memory so far
	Watches, Subscribed    int64     // resources with a Watch, and in Subscriptions
	Listeners              int64     // 1 while the feed is listened to, else 0
	FeedEntries            int64     // whose names are remembered, so that none is reported twice
	CertifiedSince         time.Time // zero without a certificate
}

// Stats returns the figures as of now.
func (c *Cache) Stats() Stats {
	st := Stats{
		Watches: c.table.watching.Load(), Subscribed: c.table.subscribed.Load(),
		Listeners: c.certifier.listening.Connected(), FeedEntries: int64(c.certifier.cursor.Told()),
	}
	st.Entries, st.Bytes = c.table.usage()
	st.ThreadHits, st.CanvasHits = c.table.hits()
	if cert := c.certifier.current.Load(); cert != nil {
		st.CertifiedSince = cert.since
	}
	return st
}

// MaxAge returns how long an answer is currently used after its read; ≤ 0: without
// bound.
func (c *Cache) MaxAge() time.Duration { return time.Duration(c.table.maxAge.Load()) }

// Elapsed returns t as the cache counts time: since it began.
func (c *Cache) Elapsed(now time.Time) time.Duration { return now.Sub(c.table.began) }

// Mark returns the state of the cache before a read is sent whose answer may be
// kept.
func (c *Cache) Mark(r registry.Resource) Mark {
	if c == nil {
		return Mark{}
	}
	return c.table.mark(r, time.Now())
}

// Keep keeps what a read saw of a resource, unless something has changed since the
// mark was taken that the read may have missed.
func (c *Cache) Keep(r registry.Resource, history ownership.History, l *ownership.Ledger, m Mark) {
	if c == nil {
		return
	}
	c.telemetry.closed(c.table.insert(r, history, l, m), plainSet)
	if cert := c.certifier.current.Load(); cert == nil || l.Position() > cert.ledger.Position() || !l.SameEpoch(cert.ledger) {
		c.certifier.want() // the feed has not reported this ledger yet
	}
}

// Missed counts a check that has to be read, by reason. It keeps the cache awake:
// without checks it stops reading the feed.
func (c *Cache) Missed(ctx context.Context, why string) {
	if c == nil {
		return
	}
	c.certifier.missed(why)
	c.telemetry.missed(ctx, why)
}
