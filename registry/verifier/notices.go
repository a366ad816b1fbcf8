package verifier

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// listen hears of changes as they happen, and connects again where the listener ends.
func (c *certifier) listen(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Second),
		backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		began := time.Now()
		err := c.feed.Listen(ctx, c.cursor, func(position int64) {
			c.listening.Lives(ctx)
			if cert := c.current.Load(); cert != nil && position > cert.ledger.Seq() {
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
