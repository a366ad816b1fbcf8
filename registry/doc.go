// Package registry says who owns a thread or a canvas.
//
// # Model
//
// A resource's History is the set of events that touched it; its owner is a fold
// over that set and the Ledger, which holds the moves of everything that a tenant
// owns (design §4). Union of sets commutes, associates and is idempotent, so any
// order, any duplication and any number of writers end in the same owners. A
// Store keeps histories and the ledger: in Firestore (package firestore) or in
// memory (package memory), both under the suite in package storetest.
//
// This package is pure: it knows neither a product nor a clock. Transports check
// access with package verifier; create flows in Go register with Registry.
//
// # What is guaranteed
//
//   - What was claimed, and answered yes, is not undone by any creation, nor by
//     an older move of a whole tenant.
//   - An id cannot be stolen by creating it again: of two creations the smaller
//     version counts, whichever comes first.
//   - A second content of an event's name is never taken for the first one again:
//     it is a conflict, or displaces the first, which is said.
//   - A move of a whole tenant is one write, from whose commit on every answer is
//     by it.
//   - Register* that returned nil made the tenant the owner, or found it so: every
//     check that begins later sees it.
//
// # What is not
//
//   - A program that writes {"tenant_id": …} with a plain set overrides the fold
//     and erases the document's history. For such documents there is no
//     convergence, no exact retraction, and no protection from theft.
//   - A resource takes MaxMoves moves that name it, MaxIdleMoves of them without
//     effect, and no more.
//   - That one source and id are used for one event only is held per resource
//     (and in the ledger), not across resources: that would cost a write per
//     event.
//   - Deleting: an ownership outlives its resource.
//
// # Errors
//
// ErrInvalid, ErrNotFound, ErrConflict, ErrUnavailable; by errors.Is.
package registry
