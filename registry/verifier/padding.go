package verifier

import (
	"context"
	"time"
)

// refusalStep: a refusal takes a whole number of steps. To read a document takes
// longer than to read that there is none, by a tenth of a millisecond or so;
// a client that could measure that, over many requests, would learn which ids exist.
// Noise could be averaged away; steps leave only the few refusals that fall on
// different sides of one.
const refusalStep = 10 * time.Millisecond

// pad waits until the check has taken a whole number of steps, or ctx ends.
func (c *check) pad(ctx context.Context) {
	if over := time.Since(c.began) % refusalStep; over > 0 {
		pause(ctx, refusalStep-over)
	}
}
