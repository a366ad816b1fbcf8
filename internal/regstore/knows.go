package regstore

import (
	"context"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Knows reports whether the registry knows a tenant: it is on the path of a document, or
// its tenant_id; a move of a whole tenant in the ledger is from it or to it; or it was
// erased. One that is named by events without effect alone is not known. It costs two
// reads, and one more for each 1,000 documents of the tenant.
func (s *Store) Knows(ctx context.Context, tenant string) (bool, error) {
	snapshot, err := s.Read(ctx, nil)
	if err != nil {
		return false, err
	}
	if _, erased := snapshot.Ledger.Pseudonym(tenant); erased || namesTenant(snapshot.Ledger, tenant) {
		return true, nil
	}
	n, err := s.CountAffected(ctx, []string{tenant})
	return n > 0, err
}

func namesTenant(l *ownership.Ledger, tenant string) bool {
	for m := range l.Moves() {
		if m.From == tenant || m.To == tenant {
			return true
		}
	}
	return false
}
