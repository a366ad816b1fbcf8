package ownership

import (
	"context"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Change is one event's effect on one resource, or on the ledger.
type Change struct {
	// Resource is what the entry goes to; the zero Resource is the ledger,
	// which takes moved entries only.
	Resource registry.Resource
	Entry    Entry
}

// OutcomeKind says what became of a change.
type OutcomeKind string

// The outcomes. All but Failed are final: the same change again ends in one of
// them too.
const (
	Applied      OutcomeKind = "applied"      // committed
	Duplicate    OutcomeKind = "duplicate"    // the registry already took account of it
	Inapplicable OutcomeKind = "inapplicable" // committed; a move from a tenant that is not the owner
	Conflict     OutcomeKind = "conflict"     // another tenant was first, or the name is known with another content; not committed
	HistoryFull  OutcomeKind = "history_full" // the resource has MaxMoves moves, or MaxIdleMoves without effect; not committed
	Failed       OutcomeKind = "failed"       // not known to be committed; Err says why; repeating is harmless
)

// Outcome is what became of one change.
type Outcome struct {
	Kind   OutcomeKind
	Detail string // Conflict, HistoryFull: what stands in the way; Duplicate of a retraction: who was first
	Err    error  // Failed only; wraps ErrUnavailable, ErrInvalid or a *PanicError
	// Displaced is an entry, acknowledged earlier, that lost its place to this
	// one: a move under the same name, or the creation by another tenant. It is
	// news if the kind is Applied or Inapplicable, and nil for none.
	Displaced *Entry
	// BornMoved is the move of a whole tenant that is the first thing which
	// happened to what this change created; nil for none.
	BornMoved *LedgerEntry
	// WouldCount says that a move was refused as HistoryFull although it would
	// have changed the owner.
	WouldCount bool
}

// Record is one document as the store holds it.
type Record struct {
	// Document is the document's name inside the collection.
	Document string
	// Resource is zero if the name breaks the pattern.
	Resource registry.Resource
	// TenantID is what direct readers see; "" if there is none.
	TenantID string
	// History holds, last, an asserted entry if somebody wrote the document
	// with a plain set since we did.
	History History
	// Plain says that History has such an entry which is not stored.
	Plain bool
	// Displaced is what lost its place, at most MaxDisplaced, the first first.
	// The fold takes no account of it.
	Displaced []Entry
	// Path and LedgerSeq are the fold's path and the ledger position as they
	// were when the document was last written by us.
	Path      []string
	LedgerSeq int64
	// UpdateTime is the document's; zero if there is no document.
	UpdateTime time.Time
	// Format is what the document says; 0 if it says none.
	Format int64
	// Unread is why the document is not understood; nil if it is. History is
	// then empty, and Path and LedgerSeq may be.
	Unread error
}

// NewRecord makes a record of what a document holds. A tenant id that is not
// what we last wrote, which is the end of the path, was set by somebody else: it
// is taken as an assertion at the document's update time (design §4). A document
// without a tenant id asserts nothing.
func NewRecord(document, tenantID string, stored History, path []string, ledgerSeq int64, updateTime time.Time) Record {
	r := Record{Document: document, TenantID: tenantID, History: stored, Path: path, LedgerSeq: ledgerSeq, UpdateTime: updateTime}
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

// Owner folds the record with the ledger: "" if nobody registered the
// resource. Errors are those of Unfoldable.
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
	// was sent when ctx ended may still happen.
	Apply(ctx context.Context, changes []Change) []Outcome

	// Read returns the resources' records and the ledger as of one time, which
	// is not before the call.
	Read(ctx context.Context, resources []registry.Resource) (Snapshot, error)

	// Store's Claim returns an error that wraps ErrConflict if Record.Claim says
	// so.
	registry.Store

	// Retract marks a move of a whole tenant as taken back; from its commit on
	// no fold takes account of it. The move need not have arrived; once it is
	// retracted no delivery revives it. The outcome is Applied; Duplicate if it
	// was retracted already (what this retraction says is kept all the same,
	// and Detail says who was first); HistoryFull beyond MaxRetractions; or
	// Failed, with ErrInvalid if Retraction.Validate has something against it.
	Retract(ctx context.Context, retraction Retraction) Outcome

	// Moves returns all entries of the ledger in version order, retracted ones
	// too, with the state of their rewriting, read now.
	Moves(ctx context.Context) ([]LedgerEntry, error)

	// Export visits every document of the collection in the order of its name's
	// bytes, as of one time, with the ledger of that time. It ends at the first
	// error that visit returns, and returns that.
	Export(ctx context.Context, visit func(Record, *Ledger) error) error

	// Close gives back what the store holds.
	Close() error
}
