// Package registry says who owns a thread or a canvas.
//
// Registry registers resources for create flows written in Go, and reads their
// owners. A store keeps them, in Firestore (package fsregistry) or in memory
// (package memregistry). Transports check access with package verifier.
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
//   - A resource takes 1,000 moves that name it, 100 of them without effect, and no
//     more.
//   - That one source and id are used for one event only is held per resource
//     (and in the ledger), not across resources: that would cost a write per
//     event.
//   - Deleting: an ownership outlives its resource.
//
// # Errors
//
// ErrInvalid, ErrNotFound, ErrConflict, ErrUnavailable; by errors.Is.
//
// The words are in docs/glossary.md.
package registry
