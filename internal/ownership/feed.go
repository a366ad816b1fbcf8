package ownership

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// FeedEntry says that the history of a resource that had one changed: a copy
// that was read before At is wrong, or may be (design §4).
type FeedEntry struct {
	ID       string // names the entry; the same one may be told several times
	Resource registry.Resource
	At       time.Time // by the store's clock; not the order of commits
}

// FeedBatch is one strong read of the change feed and the ledger: the two are of
// one time, At. Histories and ledgers of different times must not be folded with
// one another: that could name a tenant which never owned the resource.
type FeedBatch struct {
	// Entries are those that were committed up to At and that the cursor does
	// not cover, in no order, and some that it covers already.
	Entries []FeedEntry
	// Missed says that entries may be missing: nothing that was read before
	// this batch may be relied on. So it is for the zero cursor, for one that
	// is older than half of what the feed keeps, and if there is too much to
	// tell.
	Missed bool
	// Ledger is as of At.
	Ledger *Ledger
	// At is the time of the read, and the next cursor.
	At time.Time
	// From: entries with an earlier At are not told again.
	From time.Time
}

// Notice is what a listener tells of.
type Notice struct {
	Entries []FeedEntry
	Seq     int64 // position of the ledger; 0 if the notice says nothing of it
}

// Feed is what a reader that keeps copies of histories takes of a store. Both
// stores have it.
type Feed interface {
	// Changes reads strongly what happened since a cursor: every commit that
	// was acknowledged before the call is in the batch, in the ledger, or was
	// covered by the cursor. The zero cursor begins. Errors wrap ErrUnavailable.
	Changes(ctx context.Context, after time.Time) (FeedBatch, error)

	// Listen tells of changes as they happen, until ctx ends or it fails; it
	// never returns nil. The first call of tell, which may bring nothing new,
	// says that it listens. It may miss, delay and repeat: it makes readers
	// quick, and nothing may rest on it.
	Listen(ctx context.Context, tell func(Notice)) error
}
