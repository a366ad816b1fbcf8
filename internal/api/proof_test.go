//go:build proofs

package api_test

import (
	"testing"
	"time"
)

// Some minutes of what TestNoStreamGoesOnLongerThanTheBoundWhateverLiesBetween does in
// seconds, with troubles that last for longer than the bound.
func TestProofThatNoStreamGoesOnLongerThanTheBound(t *testing.T) {
	newStreaming(t).requireBound(t, time.Second)
}
