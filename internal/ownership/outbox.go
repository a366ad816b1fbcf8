package ownership

import (
	"context"
	"time"
)

// Logged is what a commit stored and put into the outbox with it, to be published to the
// registry's log: a claim, an operator's move, or the retraction of a move of a whole
// tenant.
type Logged struct {
	Name    string    // of its document in the outbox
	Changes []Change  // of one event: several only of a move that names several resources
	At      time.Time // of the read that the commit rests on, by the store's clock
}

// Outbox keeps what was stored and is to be published. A document is there from the
// commit that stored the change until Published; so whatever a process that died had
// not published is found by another one. An event may be published twice, and its
// content is the same each time. Errors wrap registry.ErrUnavailable.
type Outbox interface {
	// LogSince reads since when the registry has a log; zero: it has none, and
	// nothing is put into the outbox.
	LogSince(ctx context.Context) (time.Time, error)

	// BeginLog says in the registry that it has a log, and returns since when, and
	// whether that is news. Processes that write follow within LedgerStaleness and
	// CommitDeadline.
	BeginLog(ctx context.Context) (since time.Time, began bool, err error)

	// OnLogged has stored called with what commits of this process put into the
	// outbox from now on; not with that of a commit whose answer was lost. stored
	// must not wait.
	OnLogged(stored func(Logged))

	// Published removes documents from the outbox.
	Published(ctx context.Context, names []string) error

	// SweepOutbox calls publish with what has been in the outbox for longer than
	// OutboxPatience, the oldest first, in pages, and removes each page once publish
	// has returned nil. An error of publish ends the sweep, and is returned. If another
	// holder sweeps, or has done so a moment ago, it does nothing. The state is that of the
	// last sweep, by any process.
	SweepOutbox(ctx context.Context, holder string, publish func(context.Context, []Logged) error) (OutboxState, error)

	// ReadOutbox counts what has been in the outbox for longer than OutboxPatience,
	// now.
	ReadOutbox(ctx context.Context) (OutboxState, error)
}

// OutboxPatience is how long the process that stored a change has to publish it,
// before others do.
const OutboxPatience = time.Minute

// OutboxState is what has been in the outbox for longer than OutboxPatience.
type OutboxState struct {
	Waiting int64
	Oldest  time.Time // by the store's clock; zero if nothing waits
	At      time.Time // of the look, by the store's clock; zero if there was none

	Elsewhere bool // another process sweeps it
}

// Age is how long the oldest has waited; 0 if nothing waits.
func (s OutboxState) Age() time.Duration {
	if s.Waiting == 0 {
		return 0
	}
	return s.At.Sub(s.Oldest)
}
