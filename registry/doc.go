// Package registry records which tenant owns a thread or a canvas.
//
// Registry registers resources for create flows written in Go, and reads their
// owners. A store keeps them, in Firestore (package fsregistry) or in memory
// (package memregistry). Transports check access with package verifier.
//
// # What is guaranteed
//
//   - What was claimed, and answered yes, is not undone by any creation, nor by
//     an older move of a whole tenant.
//   - Of two creations of one id the one with the earlier time counts, whichever
//     arrives first. So a later creation takes nothing; only a claim protects
//     against an earlier one.
//   - A source and an id name one event. If a second event with the same name says
//     something else, it is refused as a conflict, or takes the place of the first,
//     which is logged and counted. It is never taken for a repetition.
//   - A move of a whole tenant is one write. Every answer after its commit takes
//     account of it.
//   - When a Register function has returned nil, the tenant is the owner: every
//     check that begins later sees it.
//
// # What is not
//
//   - A program that writes {"tenant_id": …} with a plain set overrides the fold
//     and erases the document's history. For such documents there is no
//     convergence, no exact retraction, and no protection from theft.
//   - A resource takes at most 1,000 moves that name it, and at most 100 of them
//     without effect.
//   - That a source and an id name one event is checked for each resource, and
//     for moves of whole tenants, but not across resources: that would cost a write
//     for each event.
//   - Deleting: an ownership outlives its resource.
//
// # Errors
//
// ErrInvalid, ErrNotFound, ErrConflict, ErrUnavailable; by errors.Is.
//
// The words are in docs/glossary.md.
package registry
