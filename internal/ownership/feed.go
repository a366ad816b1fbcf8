package ownership

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// FeedEntry says that one commit changed the histories of resources that had
// one: a copy of them that was read before that commit may be wrong (design §4).
type FeedEntry struct {
	ID        string // names the entry
	Resources []registry.Resource
	At        time.Time // of the request that wrote it, by the store's clock; not the order of commits
	// Unread is why the entry is not understood: it may be about any resource,
	// so no copy that was read before may be relied on.
	Unread error
}

// FeedBatch is what one strong read of the change feed and the ledger says
// beside the entries. Both are of one time, At. Histories and ledgers of
// different times must not be folded with one another: that could name a tenant
// which never owned the resource.
type FeedBatch struct {
	// Missed says that entries may be missing: nothing that was read before
	// this batch may be relied on. It is set for a cursor that has read nothing
	// yet, for one that is older than half of what the feed keeps, and if the ledger
	// is of another epoch than that of the batch before.
	Missed bool
	// Ledger is as of At.
	Ledger *Ledger
	At     time.Time
	// PlainSetsOver: the registry says that no program writes documents with plain
	// sets any more (Store.EndPlainSets). False if that is not known.
	PlainSetsOver bool
}

// Feed is what a reader that keeps copies of histories takes of a store.
type Feed interface {
	// Changes reads strongly what happened since the cursor's last read. When it
	// returns without an error, every change that was acknowledged before the
	// call has been told through the cursor, or is in the batch's ledger; a batch
	// with Missed stands for all of them. What was told before an error stays
	// told. Errors wrap ErrUnavailable.
	Changes(ctx context.Context, cursor *FeedCursor) (FeedBatch, error)

	// Listen tells the cursor of changes as they happen, until ctx ends or it
	// fails; it never returns nil. It calls heard when it begins to listen, and
	// then with each new position of the ledger. It may miss and delay: it makes
	// readers quick, and nothing may rest on it.
	Listen(ctx context.Context, cursor *FeedCursor, heard func(position int64)) error
}
