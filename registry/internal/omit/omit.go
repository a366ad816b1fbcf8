// Package omit names the rules of design §4 that proofs leave out, one at a
// time, to show that they would notice. Nothing but those proofs sets any.
package omit

// Rules are those to leave out of the memory store.
type Rules struct {
	// Feed: a change feed entry is written only if the writer thinks that
	// the owner changes, by the ledger that it knows.
	Feed bool
	// ClaimFeed: a claim that joins a history carries no change feed entry.
	ClaimFeed bool
	// PathQuery: a job looks for documents by tenant_id only.
	PathQuery bool
	// PathWrite: a document is rewritten only if its tenant_id differs.
	PathWrite bool
	// Order: jobs run at the same time, the newest first.
	Order bool
	// Fresh: a job folds with the ledger that it read when it began. Order and
	// Fresh each do harm only if the other is left out too: docs/moves.md.
	Fresh bool
	// LastPass: a job ends with a pass that began as soon as it could.
	LastPass bool
}
