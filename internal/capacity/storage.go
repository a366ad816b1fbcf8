package capacity

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The sizes are those of a thread whose ids are as long as Nexus makes them, by
// the rules of https://firebase.google.com/docs/firestore/storage-size.
const (
	exampleTenant = "t_0123456789"
	exampleThread = "th_0123456789abcdef"
	exampleSource = "//nexus/threads"
	exampleID     = "0190b8a4-7c1e-7000-8000-000000000000"
	exampleTime   = "2026-01-01T00:00:00.123456789Z"

	// messageBytes is what Pub/Sub counts of a creation: body, attributes, 20
	// bytes for the timestamp, the message id
	// (https://cloud.google.com/pubsub/pricing).
	messageBytes = 280.0

	// loggedMessageBytes is what it counts of a claim in the registry's log.
	loggedMessageBytes = 465.0

	// ledgerBytes is what a move of a tenant takes in the memory of each process
	// that folds.
	ledgerBytes = 140.0
)

func text(s string) float64 { return float64(len(s) + 1) }

// nameSize is the size of a document's name, in a collection at the root.
func nameSize() float64 {
	r := registry.Resource{Kind: registry.Thread, ID: exampleThread}
	return text("realtime_registry") + text(r.DocumentID()) + 16
}

// DocumentBytes is what a document stores that was created and never moved, with
// its index entries: that of its name, and the two that the program queries by
// (deploy/firestore.indexes.json).
func DocumentBytes() float64 {
	entry := 32.0 + text("type") + text(string(ownership.Created)) + text("time") + text(exampleTime) +
		text("source") + text(exampleSource) + text("id") + text(exampleID) + text("tenant") + text(exampleTenant)
	document := nameSize() + 32 +
		text("tenant_id") + text(exampleTenant) + text("path") + text(exampleTenant) + text("history") + entry + text("ledger") + 8 + text("format") + 8
	return document + indexEntry("tenant_id") + indexEntry("path")
}

// indexEntry is an entry of a single-field index on a tenant.
func indexEntry(field string) float64 {
	const parent = 16 // a collection at the root has no parent document
	return nameSize() + parent + text(field) + text(exampleTenant) + 32
}

// StoredBytes is what the registry stores.
func (p Parameters) StoredBytes() float64 { return p.Resources * DocumentBytes() }

// LedgerBytes is what the ledger takes in the memory of each process.
func (p Parameters) LedgerBytes() float64 { return p.Years * 365 * p.TenantMoves * ledgerBytes }

// example is the event that messageBytes is about.
func example() events.Event {
	return events.Event{ID: exampleID, Source: exampleSource, Data: events.ThreadCreated{TenantID: exampleTenant, ThreadID: exampleThread}}
}
