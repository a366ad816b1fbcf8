package memory

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// database is what all handles share. Its methods are atomic.
type database struct {
	now func() time.Time

	mu        sync.RWMutex
	last      time.Time           // of the latest commit: commit times never repeat
	documents map[string]document // by document name
	seq       int64               // ledger position
	entries   map[registry.EventName]ledgerDocument
	ledger    *registry.Ledger // snapshot of entries at seq
	lease     lease            // of the rewriting
	head      map[string]int64 // what SetHead has put there
	feed      []FeedEntry
	news      chan struct{} // closed, and replaced, when the feed or the ledger has grown
}

// document is what a Firestore document holds; plain sets leave ours empty.
type document struct {
	tenantID   string
	history    registry.History
	path       []string
	displaced  []registry.Entry
	ledgerSeq  int64
	format     int64
	updateTime time.Time
}

// ledgerDocument is one entry of the ledger, with the time of its last write.
type ledgerDocument struct {
	registry.LedgerEntry
	updateTime time.Time
}

// FeedEntry is a change feed entry.
type FeedEntry struct {
	Resource registry.Resource
	At       time.Time // commit time
}

func newDatabase(now func() time.Time) *database {
	return &database{
		now: now, documents: map[string]document{}, entries: map[registry.EventName]ledgerDocument{}, head: map[string]int64{},
		news: make(chan struct{}),
	}
}

// errLostRace: somebody else wrote in the meantime.
var errLostRace = errors.New("lost race")

// commit writes a document and its feed entry, if it is as it was read, and if
// the ledger that it was folded with may still be relied on.
func (s *Store) commit(before registry.Record, u registry.Update, ledger *certifiedLedger) error {
	if err := s.interrupt(Commit); err != nil {
		return err
	}
	err := s.database.commit(before, u, ledger, s.o)
	if errors.Is(err, errLostRace) {
		_ = s.interrupt(LostRace)
	}
	if err != nil {
		return err
	}
	return s.interrupt(Answer)
}

func (d *database) commit(before registry.Record, u registry.Update, ledger *certifiedLedger, o Options) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.documents[before.Document].updateTime.Equal(before.UpdateTime) {
		return errLostRace
	}
	if old := d.clock().Sub(ledger.since); ledger.Seq() != d.seq && old >= o.LedgerStaleness+o.CommitDeadline {
		if o.LedgerStaleness+o.CommitDeadline == 0 {
			return errLostRace
		}
		return unavailable(errors.New("the commit's deadline has passed"))
	}
	at := d.tick()
	d.documents[before.Document] = document{u.TenantID, u.History, u.Path, u.Displaced, u.LedgerSeq, u.Format, at}
	feed := u.Feed
	if o.Omit.Feed {
		feed = feed && u.TenantID != before.History.Owner(ledger.Ledger)
	}
	if _, claimed := u.History.Claimed(); claimed && o.Omit.ClaimFeed {
		_, before := before.History.Claimed()
		feed = feed && before
	}
	if feed {
		d.feed = append(d.feed, FeedEntry{before.Resource, at})
		d.announce()
	}
	return nil
}

func (d *database) record(name string) registry.Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.recordLocked(name)
}

func (d *database) recordLocked(name string) registry.Record {
	doc := d.documents[name]
	r := registry.NewRecord(name, doc.tenantID, doc.history, doc.path, doc.ledgerSeq, doc.updateTime)
	if err := registry.CheckFormat(doc.format); err != nil {
		return registry.UnreadRecord(r, doc.format, err)
	}
	r.Displaced, r.Format = doc.displaced, doc.format
	return r
}

func (d *database) snapshot(resources []registry.Resource) registry.Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	snapshot := registry.Snapshot{Ledger: d.ledger, ReadTime: d.clock(), Records: make([]registry.Record, len(resources))}
	for i, r := range resources {
		snapshot.Records[i] = d.recordLocked(r.DocumentID())
	}
	return snapshot
}

func (d *database) visit(visit func(registry.Record, *registry.Ledger) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(d.documents)) {
		if err := visit(d.recordLocked(name), d.ledger); err != nil {
			return err
		}
	}
	return nil
}

// SetPlain writes a document as a program does that knows nothing of ours: its
// fields are replaced by tenant_id alone, or, with merge, tenant_id alone is
// replaced. For tests and for `dev`.
func (d *database) SetPlain(name, tenantID string, merge bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := document{}
	if merge {
		doc = d.documents[name]
	}
	doc.tenantID, doc.updateTime = tenantID, d.tick()
	d.documents[name] = doc
}

// SetFormat gives a document a format, as a later release may. For tests.
func (d *database) SetFormat(name string, format int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc := d.documents[name]
	doc.format, doc.updateTime = format, d.tick()
	d.documents[name] = doc
}

// SetMoveFormat gives an entry of the ledger a format, as a later release may,
// or, with a known format, a time that cannot be read. For tests.
func (d *database) SetMoveFormat(source, id string, format int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := registry.EventName{Source: source, ID: id}
	e := d.entries[name]
	why := registry.CheckFormat(format)
	if why != nil {
		e.From = ""
	} else {
		why = errors.New("its time cannot be read")
	}
	d.seq++
	e.Seq, e.Unread, e.updateTime = d.seq, registry.TooNewMove(source+" "+id, why), d.tick()
	d.entries[name] = e
	d.ledger = d.ledger.With(d.seq, []registry.LedgerEntry{e.LedgerEntry})
	d.announce()
}

// Feed returns the change feed, oldest first.
func (d *database) Feed() []FeedEntry {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.feed)
}

// clock is the time of a read: not before any commit.
func (d *database) clock() time.Time {
	now := d.now().UTC().Truncate(time.Microsecond)
	if now.Before(d.last) {
		return d.last
	}
	return now
}

// tick is the time of a commit: after every other one.
func (d *database) tick() time.Time {
	now := d.clock()
	if !now.After(d.last) {
		now = d.last.Add(time.Microsecond)
	}
	d.last = now
	return now
}
