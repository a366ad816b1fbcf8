package verifier

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// listen takes notices, and connects again where the listener ends.
func (c *certifier) listen(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second),
		backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		began := time.Now()
		err := c.feed.Listen(ctx, func(n ownership.Notice) {
			c.listening.Lives(ctx)
			c.tell(n.Entries)
			if cert := c.current.Load(); cert != nil && n.Seq > cert.ledger.Seq() {
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
