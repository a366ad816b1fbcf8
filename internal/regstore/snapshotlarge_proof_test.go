//go:build proofs

package regstore_test

import "testing"

// A ledger as long as an installation's after years.
func TestProofThatSnapshotsOfALargeLedgerAreTheLedger(t *testing.T) { requireSnapshotsOf(t, 50_000) }
