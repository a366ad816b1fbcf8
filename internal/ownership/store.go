package ownership

import (
	"context"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Record is one document as the store holds it.
type Record struct {
	// Document is the document's name inside the collection.
	Document string
	// Resource is zero if the name breaks the pattern.
	Resource registry.Resource
	// TenantID is the field that direct readers see; "" if there is none.
	TenantID string
	// History holds, last, an asserted entry if another program wrote the document
	// with a plain set since we did.
	History History
	// Plain says that History has such an entry which is not stored.
	Plain bool
	// Displaced is what lost its place, at most MaxDisplaced, the first first.
	// The fold takes no account of it.
	Displaced []Entry
	// Path and LedgerPosition are the fold's path and the ledger position as they
	// were when the document was last written by us.
	Path           []string
	LedgerPosition int64
	// UpdateTime is the document's; zero if there is no document.
	UpdateTime time.Time
	// Format is what the document says; 0 if it says none.
	Format int64
	// Forget is what an update takes out of the document; nil for nothing.
	Forget *Forget
	// Unread is why the document is not understood; nil if it is. History is
	// then empty, and Path and LedgerPosition may be.
	Unread error
}

// NewRecord makes a record of what a document holds. A tenant id that is not what
// we last wrote, which is the end of the path, was set by another program: it
// counts as an assertion at the document's update time (design §4). A document
// without a tenant id asserts nothing.
func NewRecord(document, tenantID string, stored History, path []string, ledgerPosition int64, updateTime time.Time) Record {
	r := Record{Document: document, TenantID: tenantID, History: stored, Path: path, LedgerPosition: ledgerPosition, UpdateTime: updateTime}
	if resource, err := registry.ParseDocumentID(document); err == nil {
		r.Resource = resource
	}
	if tenantID != "" && (len(stored) == 0 || len(path) == 0 || path[len(path)-1] != tenantID) {
		r.History, r.Plain = stored.Merge(Entry{Type: Asserted, Tenant: tenantID, Version: Version{Time: updateTime}})
	}
	return r
}

// Affected reports whether one of the tenants is on the record's path, or is its
// tenant_id.
func (r Record) Affected(tenants []string) bool {
	return slices.ContainsFunc(tenants, func(t string) bool { return r.TenantID == t || slices.Contains(r.Path, t) })
}

// Owner folds the record with the ledger: "" if the resource is not registered.
// Errors are those of Unfoldable.
func (r Record) Owner(l *Ledger) (string, error) {
	if err := r.Unfoldable(l); err != nil {
		return "", err
	}
	return r.History.Owner(l), nil
}

// Snapshot is what one strong read saw: everything in it was true at ReadTime.
type Snapshot struct {
	Records  []Record // in the order asked for
	Ledger   *Ledger
	ReadTime time.Time
}

// Store keeps histories and the ledger. Implementations pass the suite in
// storetest; they are safe for concurrent use, by any number of processes.
//
// Every error wraps ErrUnavailable, or ErrInvalid if an id breaks its
// pattern.
type Store interface {
	// Apply merges changes into histories and the ledger, and returns one
	// outcome per change, in order. It is not atomic over the changes. Each
	// commit is atomic with its change feed entry. Commits obey ctx; one that
	// was sent when ctx ended may still happen. A change that Change.Validate has
	// something against is Failed, and stored nowhere.
	//
	// From the commit of a retraction on no fold takes account of its move. The
	// move need not have arrived; once it is retracted no delivery revives it. A
	// retraction of what is retracted already is a Duplicate; who and why are kept
	// all the same, once, up to MaxRetractions, and HistoryFull beyond.
	Apply(ctx context.Context, changes []Change) []Outcome

	// Read returns the resources' records and the ledger as of one time, which
	// is not before the call.
	Read(ctx context.Context, resources []registry.Resource) (Snapshot, error)

	// Store's Claim returns an error that wraps ErrConflict if Record.Claim says
	// so.
	registry.Store

	// Moves returns all entries of the ledger in version order, retracted ones
	// too, with the state of their rewriting, read now. Each is a read.
	Moves(ctx context.Context) ([]LedgerEntry, error)

	// Export visits every document of the collection in the order of its name's
	// bytes, as of one time, with the ledger of that time. It ends at the first
	// error that visit returns, and returns that.
	Export(ctx context.Context, visit func(Record, *Ledger) error) error

	// Close releases what the store holds.
	Close() error
}

// LedgerReader reads entries of the ledger as they are stored, with what a Ledger
// leaves out. Each is a read. Errors wrap ErrUnavailable.
type LedgerReader interface {
	// EachMove visits all entries, in the order in which they changed last, as of a
	// time of a read that has been answered; now for the zero time. It ends at the
	// first error that visit returns, and returns that.
	EachMove(ctx context.Context, at time.Time, visit func(LedgerEntry) error) error

	// MovesNamed returns the entries with these names, in their order, without
	// those that there are not.
	MovesNamed(ctx context.Context, names []EventName) ([]LedgerEntry, error)

	// MovesBetween returns the entries that have changed last behind a position, up
	// to another one, in the order of these positions.
	MovesBetween(ctx context.Context, after, upTo int64) ([]LedgerEntry, error)

	// PendingMoves returns the entries behind a position whose rewriting has not
	// ended and is not parked, in the order in which they are rewritten, which is that
	// of positions: as many as there are, at most limit. Those that are not understood
	// are left out.
	PendingMoves(ctx context.Context, after int64, limit int) ([]LedgerEntry, error)

	// ParkedMoves is PendingMoves for entries whose rewriting is parked, the last
	// change first: those before a position, or from the last one on if that is 0.
	ParkedMoves(ctx context.Context, before int64, limit int) ([]LedgerEntry, error)
}
