//go:build proofs

package verifierhttp_test

import "testing"

// A thousand streams of each kind, one kind after the other.
func TestProofAThousandStreamsOfEachKindEndAndLeaveNothing(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) { requireEnds(t, []kind{k}, 1000) })
	}
}
