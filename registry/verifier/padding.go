package verifier

import (
	"context"
	"time"
)

// refusalStep is the unit of a refusal's duration. Reading a document takes longer
// than finding that there is none, by a tenth of a millisecond or so. A client that
// measured this over many requests would learn which ids exist. Averaging removes
// noise; with steps, only the few refusals near the end of a step still differ.
const refusalStep = 10 * time.Millisecond

// pad waits until the check has taken a whole number of steps, or ctx ends.
func (c *check) pad(ctx context.Context) {
	if over := time.Since(c.began) % refusalStep; over > 0 {
		pause(ctx, refusalStep-over)
	}
}
