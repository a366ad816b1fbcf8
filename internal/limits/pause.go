package limits

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// newPause returns the pauses between tries.
func NewPause() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.9),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(0))
}
