//go:build proofs

package api_test

import (
	"testing"
	"time"
)

// Two minutes of what TestNoStreamGoesOnLongerThanTheBoundWhateverLiesBetween does in
// seconds, with troubles that last for longer than the bound.
func TestProofThatNoStreamGoesOnLongerThanTheBound(t *testing.T) {
	newStreaming(t).requireBound(t, 300*time.Millisecond)
}
