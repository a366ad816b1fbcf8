// Package memory keeps the registry in this process: for tests, and for `dev`
// and `run --api` in one process. It passes the same suite as the Firestore
// store, and forgets everything when the process ends.
package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Store is a registry.Store in memory. All methods are safe for concurrent use;
// a Read is atomic with regard to every Apply and Claim.
type Store struct {
	now func() time.Time

	mu        sync.RWMutex
	last      time.Time           // of the latest commit: commit times never repeat
	documents map[string]document // by document name
	seq       int64               // ledger position
	entries   map[event]registry.LedgerEntry
	ledger    *registry.Ledger // snapshot of entries at seq
	feed      []FeedEntry
}

type event struct{ source, id string }

// document is what a Firestore document holds; plain sets leave ours empty.
type document struct {
	tenantID   string
	history    registry.History
	path       []string
	ledgerSeq  int64
	updateTime time.Time
}

// FeedEntry is a change feed entry.
type FeedEntry struct {
	Resource registry.Resource
	At       time.Time // commit time
}

var _ registry.Store = (*Store)(nil)

// New returns an empty store that takes the time from the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose commit times come from now; they are made
// to grow where now does not.
func NewAt(now func() time.Time) *Store {
	return &Store{now: now, documents: map[string]document{}, entries: map[event]registry.LedgerEntry{}}
}

// Apply implements registry.Store.
func (s *Store) Apply(ctx context.Context, changes []registry.Change) []registry.Outcome {
	outcomes := make([]registry.Outcome, len(changes))
	if err := ctx.Err(); err != nil {
		for i := range outcomes {
			outcomes[i] = registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("apply: %w: %w", registry.ErrUnavailable, err)}
		}
		return outcomes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	perResource := map[registry.Resource][]int{}
	for i, c := range changes {
		if c.Resource == (registry.Resource{}) {
			outcomes[i] = s.append(c.Entry)
			continue
		}
		if err := c.Resource.Validate(); err != nil {
			outcomes[i] = registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("apply: %w", err)}
			continue
		}
		perResource[c.Resource] = append(perResource[c.Resource], i)
	}
	for resource, indexes := range perResource {
		entries := make([]registry.Entry, len(indexes))
		for j, i := range indexes {
			entries[j] = changes[i].Entry
		}
		update := s.record(resource.DocumentID()).Update(entries, s.ledger)
		s.commit(resource, update)
		for j, i := range indexes {
			outcomes[i] = update.Outcomes[j]
		}
	}
	return outcomes
}

func (s *Store) commit(resource registry.Resource, u registry.Update) {
	if !u.Write {
		return
	}
	at := s.tick()
	s.documents[resource.DocumentID()] = document{u.TenantID, u.History, u.Path, u.LedgerSeq, at}
	if u.Feed {
		s.feed = append(s.feed, FeedEntry{resource, at})
	}
}

func (s *Store) append(e registry.Entry) registry.Outcome {
	key := event{e.Source, e.ID}
	before, ok := s.entries[key]
	after, changed := before.Merge(e, ok)
	if !changed {
		return registry.Outcome{Kind: registry.Duplicate}
	}
	s.putLedger(key, after)
	return registry.Outcome{Kind: registry.Applied}
}

func (s *Store) putLedger(key event, e registry.LedgerEntry) {
	s.seq++
	e.Seq, e.ChangedAt = s.seq, s.tick()
	s.entries[key] = e
	s.ledger = registry.NewLedger(s.seq, slices.Collect(maps.Values(s.entries)))
}

// Read implements registry.Store.
func (s *Store) Read(ctx context.Context, resources []registry.Resource) (registry.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return registry.Snapshot{}, fmt.Errorf("read: %w: %w", registry.ErrUnavailable, err)
	}
	for _, r := range resources {
		if err := r.Validate(); err != nil {
			return registry.Snapshot{}, fmt.Errorf("read: %w", err)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	snapshot := registry.Snapshot{Ledger: s.ledger, ReadTime: s.clock(), Records: make([]registry.Record, len(resources))}
	for i, r := range resources {
		snapshot.Records[i] = s.record(r.DocumentID())
	}
	return snapshot, nil
}

// Claim implements registry.Store.
func (s *Store) Claim(ctx context.Context, tenantID string, resource registry.Resource) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("claim %s: %w: %w", resource, registry.ErrUnavailable, err)
	}
	if err := resource.Validate(); err != nil {
		return false, fmt.Errorf("claim: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record := s.record(resource.DocumentID())
	switch record.Owner(s.ledger) {
	case tenantID:
		return false, nil
	case "":
		s.commit(resource, record.Update([]registry.Entry{registry.ClaimEntry(tenantID, resource, s.clock())}, s.ledger))
		return true, nil
	}
	return false, fmt.Errorf("claim %s: %w", resource, registry.ErrConflict)
}

// Export implements registry.Store. It holds the store still while it visits.
func (s *Store) Export(_ context.Context, visit func(registry.Record, *registry.Ledger) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.documents)) {
		if err := visit(s.record(name), s.ledger); err != nil {
			return err
		}
	}
	return nil
}

// Close implements registry.Store. There is nothing to give back.
func (s *Store) Close() error { return nil }

// SetPlain writes a document as a program does that knows nothing of ours: its
// fields are replaced by tenant_id alone, or, with merge, tenant_id alone is
// replaced. For tests and for `dev`.
func (s *Store) SetPlain(name, tenantID string, merge bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := document{}
	if merge {
		d = s.documents[name]
	}
	d.tenantID, d.updateTime = tenantID, s.tick()
	s.documents[name] = d
}

// Feed returns the change feed, oldest first.
func (s *Store) Feed() []FeedEntry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.feed)
}

func (s *Store) record(name string) registry.Record {
	d := s.documents[name]
	return registry.NewRecord(name, d.tenantID, d.history, d.path, d.ledgerSeq, d.updateTime)
}

// clock is the time of a read: not before any commit.
func (s *Store) clock() time.Time {
	now := s.now().UTC().Truncate(time.Microsecond)
	if now.Before(s.last) {
		return s.last
	}
	return now
}

// tick is the time of a commit: after every other one.
func (s *Store) tick() time.Time {
	now := s.clock()
	if !now.After(s.last) {
		now = s.last.Add(time.Microsecond)
	}
	s.last = now
	return now
}
