package simulation

import (
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Shapes of a plan: each makes frequent what one rule is for, and what seeds meet
// about once in thousands.
const (
	// Late: every second event of a resource is taken after all that the ledger is
	// about has ended: no job repairs what it leaves.
	Late = "late"
	// Slow: half of all commits are held up for up to a minute.
	Slow = "slow"
	// Deaf: listeners hear of no entry.
	Deaf = "deaf"
	// Away: the reader is stopped for longer than entries of the feed are kept.
	Away = "away"
	// Restored: the database is restored to what it was earlier, under processes that
	// live.
	Restored = "restored"
	// Erased: a tenant is erased.
	Erased = "erased"
	// Logged: the registry has a log, to which claims and retractions are published.
	Logged = "logged"
)

// Shapes lists all of them.
var Shapes = []string{Late, Slow, Deaf, Away, Restored, Erased, Logged}

// ofLedger reports whether the message is about the ledger.
func (m *message) ofLedger() bool { return m.changes[0].Resource == registry.Resource{} }

// waits reports whether a message is not to be taken yet.
func (s *registryWorld) waits(m *message) bool {
	return s.plan.with(Late) && m.n%2 == 0 && !m.ofLedger() && !s.ledgerRests()
}

// ledgerRests reports whether all changes of the ledger have been made, and their jobs
// are done.
func (s *registryWorld) ledgerRests() bool {
	return !slices.ContainsFunc(s.messages, func(m *message) bool { return m.ofLedger() && !m.acked }) &&
		!slices.ContainsFunc(s.retractions, func(r *retraction) bool { return !r.done }) &&
		!slices.ContainsFunc(s.moves(), func(m ownership.LedgerEntry) bool { return m.Rewriting.Pending() })
}
