package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// readAttempts bounds how often a read is repeated because the ledger changed
// in the middle of it.
const readAttempts = 10

// Read implements registry.Store. The documents and the ledger's head are read
// in one request, so that all of them are of one time. Where the ledger has
// moved on, it is caught up with and the documents are read again: an answer
// that mixes two times could name a tenant that never owned the resource.
func (s *Store) Read(ctx context.Context, resources []registry.Resource) (_ registry.Snapshot, err error) {
	ctx, done := s.telemetry.start(ctx, "read", len(resources))
	defer func() { done(err) }()
	for _, r := range resources {
		if err := r.Validate(); err != nil {
			return registry.Snapshot{}, err
		}
	}
	for range readAttempts {
		snapshot, position, err := s.readWithHead(ctx, resources)
		if err != nil {
			return registry.Snapshot{}, err
		}
		if snapshot.Ledger.Seq() == position {
			return snapshot, nil
		}
		if snapshot.Ledger.Seq() < position {
			if _, err := s.refreshLedger(ctx); err != nil {
				return registry.Snapshot{}, err
			}
		}
	}
	return registry.Snapshot{}, unavailable("read", fmt.Errorf("the ledger changed %d times meanwhile", readAttempts))
}

// readWithHead reads records and the ledger's position, as of one time. The
// snapshot's ledger is the one known here, which may be at another position.
func (s *Store) readWithHead(ctx context.Context, resources []registry.Resource) (registry.Snapshot, int64, error) {
	names := make([]string, 0, len(resources)+1)
	for _, r := range resources {
		names = append(names, s.resourceName(r))
	}
	sent := time.Now()
	documents, readTime, err := s.batchGet(ctx, append(names, s.headName()))
	if err != nil {
		return registry.Snapshot{}, 0, err
	}
	position := headPosition(documents[s.headName()])
	snapshot := registry.Snapshot{Ledger: s.certify(position, sent), ReadTime: readTime, Records: make([]registry.Record, len(resources))}
	for i, r := range resources {
		snapshot.Records[i] = s.decodeOrMissing(ctx, r, documents[names[i]])
	}
	return snapshot, position, nil
}

func (s *Store) decodeOrMissing(ctx context.Context, r registry.Resource, d *firestorepb.Document) registry.Record {
	if d == nil {
		return registry.NewRecord(r.DocumentID(), "", nil, nil, 0, time.Time{})
	}
	return s.decode(ctx, d)
}

func (s *Store) decode(ctx context.Context, d *firestorepb.Document) registry.Record {
	record, err := decode(d)
	if err != nil {
		s.logger.WarnContext(ctx, "a document's own fields cannot be read; it is taken as a plain set", "error", err)
	}
	return record
}

// batchGet returns the documents that exist, by name, and the time as of which
// all of them were read.
func (s *Store) batchGet(ctx context.Context, names []string) (map[string]*firestorepb.Document, time.Time, error) {
	stream, err := s.client.BatchGetDocuments(s.outgoing(ctx), &firestorepb.BatchGetDocumentsRequest{
		Database:  s.database,
		Documents: names,
	})
	if err != nil {
		return nil, time.Time{}, unavailable("read", err)
	}
	found := make(map[string]*firestorepb.Document, len(names))
	var readTime time.Time
	for answers := 0; ; answers++ {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if distinct := len(slices.Compact(slices.Sorted(slices.Values(names)))); answers < distinct {
				return nil, time.Time{}, unavailable("read", fmt.Errorf("%d answers for %d documents", answers, distinct))
			}
			return found, readTime, nil
		}
		if err != nil {
			return nil, time.Time{}, unavailable("read", err)
		}
		if d := response.GetFound(); d != nil {
			found[d.Name] = d
		}
		readTime = response.ReadTime.AsTime()
	}
}

// Export implements registry.Store: one query over the whole collection, as of
// the time at which the ledger was read. A query that breaks off is taken up
// behind the last document that arrived.
func (s *Store) Export(ctx context.Context, visit func(registry.Record, *registry.Ledger) error) error {
	start, err := s.Read(ctx, nil)
	if err != nil {
		return err
	}
	var last string
	for failures := 0; ; {
		before := last
		err := s.exportFrom(ctx, start, &last, visit)
		if err == nil || !errors.Is(err, registry.ErrUnavailable) {
			return err
		}
		if last != before {
			failures = 0
		}
		if failures++; failures > 3 || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Store) exportFrom(ctx context.Context, at registry.Snapshot, last *string, visit func(registry.Record, *registry.Ledger) error) error {
	return s.stream(ctx, s.byName(nil, *last), at.ReadTime, func(d *firestorepb.Document) error {
		if err := visit(s.decode(ctx, d), at.Ledger); err != nil {
			return err
		}
		*last = d.Name
		return nil
	})
}
