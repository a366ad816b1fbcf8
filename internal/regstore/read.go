package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Read implements ownership.Store.
func (s *Store) Read(ctx context.Context, resources []registry.Resource) (_ ownership.Snapshot, err error) {
	ctx, done := s.telemetry.start(ctx, "read", len(resources))
	defer func() { done(err) }()
	for _, r := range resources {
		if err := r.Validate(); err != nil {
			return ownership.Snapshot{}, err
		}
	}
	return s.readWithHead(ctx, resources)
}

// Owner implements ownership.Store.
func (s *Store) Owner(ctx context.Context, resource registry.Resource) (string, error) {
	snapshot, err := s.Read(ctx, []registry.Resource{resource})
	if err != nil {
		return "", err
	}
	owner, err := snapshot.Records[0].Owner(snapshot.Ledger)
	if err != nil {
		return "", err
	}
	if owner == "" {
		return "", fmt.Errorf("%w: %s", registry.ErrNotFound, resource)
	}
	return owner, nil
}

// readWithHead reads documents and the ledger's head in one request, so that all
// of them are of one time. If the head is not at the ledger that this process
// knows, what differs is read as of the same time: an answer that mixes two times
// could name a tenant that never owned the resource. It takes two requests at
// most, whatever is written meanwhile.
//
// That a read time names one state is the service's promise. The emulator has
// broken it, about once in some thousand reads beside writes: then, and only
// then, both are read again.
func (s *Store) readWithHead(ctx context.Context, resources []registry.Resource) (snapshot ownership.Snapshot, err error) {
	for range 3 {
		if snapshot, err = s.readAtOneTime(ctx, resources); !errors.Is(err, errTwoTimes) {
			break
		}
	}
	return snapshot, err
}

func (s *Store) readAtOneTime(ctx context.Context, resources []registry.Resource) (ownership.Snapshot, error) {
	names := make([]string, 0, len(resources)+1)
	for _, r := range resources {
		names = append(names, s.resourceName(r))
	}
	defer s.reads.begin()()
	base, sent := s.known(), time.Now()
	documents, at, err := s.get(ctx, append(names, s.headName()))
	if err != nil {
		return ownership.Snapshot{}, err
	}
	now, err := s.look(ctx, documents[s.headName()], at)
	if err != nil {
		return ownership.Snapshot{}, err
	}
	ledger, err := s.ledgerAt(ctx, base, now, at, sent)
	if err != nil {
		return ownership.Snapshot{}, err
	}
	snapshot := ownership.Snapshot{Ledger: ledger, ReadTime: at, Records: make([]ownership.Record, len(resources))}
	for i, r := range resources {
		snapshot.Records[i] = s.decodeOrMissing(ctx, r, documents[names[i]])
	}
	return snapshot, nil
}

func (s *Store) decodeOrMissing(ctx context.Context, r registry.Resource, d *docdb.Document) ownership.Record {
	if d == nil {
		return ownership.NewRecord(r.DocumentID(), "", nil, nil, 0, time.Time{})
	}
	return s.decode(ctx, d)
}

func (s *Store) decode(ctx context.Context, d *docdb.Document) ownership.Record {
	record := decode(d)
	_ = s.tooNew(ctx, "document", record.Unread)
	s.plainSet(ctx, record)
	s.setPastTombstone(ctx, record)
	return record
}

// get returns the documents that exist, by name, and the time as of which all of
// them were read.
func (s *Store) get(ctx context.Context, names []string) (map[string]*docdb.Document, time.Time, error) {
	found, at, err := s.db.Get(ctx, names)
	if err != nil {
		s.missing(err)
		return nil, time.Time{}, unavailable("read", err)
	}
	return found, at, nil
}
