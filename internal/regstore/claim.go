package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Claim implements ownership.Store. The store's time is that of the read which
// found no owner; the create then holds only if there is still none.
func (s *Store) Claim(ctx context.Context, tenantID string, resource registry.Resource) (created bool, err error) {
	ctx, done := s.telemetry.start(ctx, "claim", 1)
	defer func() {
		done(err)
		s.claims.Claim(ctx, tenantID, resource, created, err)
	}()
	var sent []ownership.Entry // claims of ours that may have been committed
	lost := fmt.Errorf("the document never stood still")
	for attempt := range s.attempts(ctx) {
		asked := time.Now()
		snapshot, err := s.Read(ctx, []registry.Resource{resource})
		if err != nil {
			return false, fmt.Errorf("claim %s: %w", resource, err)
		}
		record := snapshot.Records[0]
		update, created, err := record.Claim(tenantID, snapshot.ReadTime, snapshot.Ledger)
		switch {
		case err != nil:
			return false, fmt.Errorf("claim %s: %w", resource, err)
		case !created:
			return record.History.HoldsClaim(sent), nil
		}
		if err := s.mayWrite(ctx); err != nil {
			return false, fmt.Errorf("claim %s: %w", resource, err)
		}
		t := &target{resource: resource}
		p := pending{target: t, update: update, record: record}
		writes := []docdb.Write{s.write(t, p.update, p.precondition())}
		if p.update.Feed {
			writes = append(writes, s.feedWrite(resource))
		}
		_, err = s.commit(ctx, s.deadline(&certifiedLedger{snapshot.Ledger, asked}), writes...)
		if err == nil {
			return true, nil
		}
		if !docdb.LostTheRace(err) {
			sent, lost = append(sent, ownership.ClaimEntry(tenantID, resource, snapshot.ReadTime)), err
			if !worthRereading(err, attempt) {
				break
			}
		}
	}
	return false, fmt.Errorf("claim %s: %w", resource, asUnavailable(lost))
}
