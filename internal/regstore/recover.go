package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Epoch reads the ledger's head. A registry that was never written to has none. Errors
// wrap registry.ErrUnavailable.
func (s *Store) Epoch(ctx context.Context) (e ownership.Epoch, exists bool, err error) {
	documents, at, err := s.get(ctx, []string{s.headName()})
	if err != nil {
		return e, false, err
	}
	head := documents[s.headName()]
	if _, err := s.look(ctx, head, at); err != nil {
		return e, false, err
	}
	return epochOf(head), head != nil, nil
}

func epochOf(head *docdb.Document) ownership.Epoch {
	f := head.GetFields()
	return ownership.Epoch{Name: f[fieldEpoch].GetStringValue(), Since: timestamp(f[fieldEpochSince]), Position: f[fieldPosition].GetIntegerValue()}
}

// Recover gives the ledger a new epoch, after its database was restored. Whatever
// processes hold of the registry counts for nothing from then on: each drops it when it
// next reads the head, which a verifier does within half of MaxStaleness and a writer
// within LedgerStaleness. A write that was under way before is committed within
// WriterHorizon, or never. Positions go on from where they are, so what documents say of
// theirs stays true (design §4).
//
// It does no harm to a registry that was not restored, except that all processes read
// it anew. Errors wrap registry.ErrUnavailable, if there is a registry.
func (s *Store) Recover(ctx context.Context) (before, after ownership.Epoch, err error) {
	_, exists, err := s.Epoch(ctx)
	switch {
	case err != nil:
	case !exists:
		err = errors.New("nothing was ever written to this registry, so it is not the restored one")
	default:
		err = s.mayWrite(ctx)
	}
	if err != nil {
		return before, after, fmt.Errorf("recover: %w", err)
	}
	epoch := newEpoch()
	s.recovering.Store(&epoch)
	for range s.attempts(ctx) {
		var documents map[string]*docdb.Document
		if documents, _, err = s.get(ctx, []string{s.headName()}); err != nil {
			break
		}
		head := documents[s.headName()]
		now := epochOf(head)
		if now.Name == epoch { // also if the answer was lost
			_, _ = s.readWithHead(ctx, nil) // this process drops what it holds, too
			return before, now, nil
		}
		before = now
		_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
			Name: s.headName(), Fields: map[string]*docdb.Value{fieldEpoch: docdb.Text(epoch), fieldEpochAfter: docdb.Text(now.Name)},
			Mask: []string{fieldEpoch, fieldEpochAfter}, Times: []string{fieldEpochSince}, If: docdb.AsRead(head),
		})
	}
	return before, after, fmt.Errorf("recover: %w", asUnavailable(err))
}
