package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/registry"
)

// mostLookedAt is how many documents of each kind isNew looks at.
const mostLookedAt = 300

// isNew returns why a registry that has no head must not be taken for a new one:
// its ledger has entries, or the fence, so the head was deleted; or it is of commit
// 1571751, which made a head with the first move of a whole tenant.
//
// No index tells documents of that commit from those of plain sets, so isNew
// looks at the first ones of each kind. If all of these are plain and later
// ones are not, nothing is lost: each is refused by itself (decode), and
// `registry-worker upgrade` brings them over. A new registry is billed three
// reads.
func (s *Store) isNew(ctx context.Context) error {
	entries, err := s.queryLedger(ctx, fieldSeq, 0, 1, time.Time{})
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		if _, err := s.readWithHead(ctx, nil); err != nil {
			return err
		}
		if s.head.Load().exists { // another process has made it meanwhile, with the fence
			return nil
		}
		return s.headIsGone()
	}
	for _, kind := range registry.Kinds() {
		first := resources(s.db.Name(Collection, string(kind)+"__"))
		first.Limit, first.Select = mostLookedAt, []string{fieldLedger, fieldFormat}
		err := s.query(ctx, first, func(d *docdb.Document) error {
			if docdb.Missing(d.Fields[fieldFormat]) && !docdb.Missing(d.Fields[fieldLedger]) {
				return s.incompatible("%s: %w", shortName(d.Name), registry.ErrNotUpgraded)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) headIsGone() error {
	return fmt.Errorf("%s: %w: the ledger has a past and no head, which must have been deleted. If the database was lost or emptied, go by docs/recovery.md; if the head alone was, `registry-worker upgrade` makes it anew (docs/upgrades.md)",
		shortName(s.headName()), registry.ErrUnavailable)
}
