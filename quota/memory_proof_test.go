//go:build proofs

package quota_test

import "testing"

func TestProofThatAMillionTenantsFitInto160MB(t *testing.T) { tenantsFit(t, 1_000_000, 160e6) }
