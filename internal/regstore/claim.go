package regstore

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Claim implements ownership.Store. The store's time is that of the read of the
// ledger's head, or, if the resource is thought to exist, of its document and the
// head; what is written holds only if the document is still what was read, or not
// there. So a claim of a new resource takes one read and one write.
func (s *Store) Claim(ctx context.Context, tenantID string, resource registry.Resource, options ...registry.ClaimOption) (created bool, err error) {
	event := ownership.ClaimedEvent(options)
	ctx, done := s.telemetry.start(ctx, "claim", 1)
	defer func() {
		done(err)
		s.claims.Claim(ctx, tenantID, resource, created, err)
	}()
	var sent []ownership.Entry // claims of ours that may have been committed
	lost := fmt.Errorf("gave up after too many conflicting writes")
	for attempt := range s.attempts(ctx) {
		asked := time.Now()
		blind := attempt == 0 && s.claimed.probablyNew(resource)
		snapshot, record, err := s.readToClaim(ctx, resource, blind)
		if err != nil {
			return false, fmt.Errorf("claim %s: %w", resource, err)
		}
		claim := ownership.ClaimEntry(tenantID, resource, snapshot.ReadTime)
		claim.Event = event
		update, created, err := record.Claim(claim, snapshot.Ledger)
		switch {
		case err != nil && blind: // a move waits for it, unless there is a document
			continue
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
		outbox, logged := s.outboxWrites(snapshot.ReadTime, ownership.Change{Resource: resource, Entry: claim})
		writes = append(writes, outbox...)
		_, err = s.commit(ctx, s.deadline(&certifiedLedger{Ledger: snapshot.Ledger, since: asked}), writes...)
		if blind && (err == nil || docdb.LostTheRace(err)) {
			s.claimed.learnOne(err != nil)
		}
		if err == nil {
			s.claimed.remember(resource)
			s.tellLogged(logged)
			return true, nil
		}
		if !docdb.LostTheRace(err) {
			sent, lost = append(sent, claim), err
			if !worthRereading(err, attempt) {
				break
			}
		}
	}
	return false, fmt.Errorf("claim %s: %w", resource, asUnavailable(lost))
}

// readToClaim reads the resource's document and the ledger's head; if blind, the
// head alone, and the record is that of a document which is not there.
func (s *Store) readToClaim(ctx context.Context, r registry.Resource, blind bool) (ownership.Snapshot, ownership.Record, error) {
	if err := r.Validate(); err != nil {
		return ownership.Snapshot{}, ownership.Record{}, err
	}
	if blind {
		snapshot, err := s.Read(ctx, nil)
		return snapshot, s.decodeOrMissing(ctx, r, nil), err
	}
	snapshot, err := s.Read(ctx, []registry.Resource{r})
	if err != nil {
		return snapshot, ownership.Record{}, err
	}
	s.claimed.learnOne(snapshot.Records[0].Exists())
	return snapshot, snapshot.Records[0], nil
}
