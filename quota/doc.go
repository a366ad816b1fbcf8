// Package quota answers one question of a transport: may this tenant do this
// now? It counts in fixed windows, durably, over all processes, for a million
// tenants.
//
//	limiter, err := quota.New(store, quota.Options{PolicyFile: "policies.yaml"})
//	defer limiter.Close(ctx)
//	decision, err := limiter.Allow(ctx, tenantID, "chat_send")
//
// # Who needs what
//
// A program that limits needs New, Options, Limiter, Decision and the errors, and
// a store that package fsquota or memquota opens. Policies come from Options, from
// a file, or from documents in the store. To look at a window, to reset it, or to
// see the policies in force, operators have `registry-worker quota`.
//
// # How
//
// A process reserves a block of the window's budget with one compare-and-set on
// the window's document, then spends it in memory (design §7):
//
//  1. Allow finds the tenant's block and takes a unit of it: no I/O, one lock of
//     256, less than 100 ns (limiter.go, table.go, block.go).
//  2. If the block is used up, or the window may be over, the request waits for a
//     flight, with all others that need the same key (flight.go).
//  3. The flight reads the document, unless it knows it from its last write, and
//     rolls the window if the store's clock says that it has ended (window.go).
//  4. It writes the count plus a block, if the document is unchanged. The block
//     is meant to last for a second, and is at most a quarter of what is unspent.
//  5. Idle blocks, and all at Close, are released (background.go, close.go).
//
// If several processes use a window, they write it together four times a second at
// most: its document says how many they are, and what was set aside in parts, which
// are documents of their own (sharing.go, shared.go, turns.go, part.go).
//
// # Guarantees
//
// In no window do all processes together admit more than the limit, whichever
// processes are killed at any point, whichever answers are lost, and however far
// apart the clocks of the machines are: windows begin and end by the store's clock,
// and a block is spent only while its window cannot be over. The Decision has the
// window that its units were taken from. A window keeps the length and the limit
// that it began with; a changed policy applies from the next one.
//
// In the other direction, these are the bounds:
//
//   - A block is at most max(1, unspent/4) units, or what one AllowN asks for. A
//     refusal may be early by the blocks that other processes hold.
//   - A killed process strands its block until the window ends, and so does an
//     answer to a reservation that is lost. A clean Close strands nothing.
//   - A block that is not used up in ten seconds is released within another
//     sixteen, unless the window ends first.
//   - A refusal is remembered for a thirtieth of the window, and for a second at
//     least, before the store is asked whether others have released units; for a
//     quarter of the window if more than five processes share it.
//   - If more than five processes share a window that is too small for parts, a
//     request may be refused while there are units: Decision.Contended, with a
//     RetryAfter of two seconds at most. No request waits longer than a second for
//     other processes to write.
//
// Exceptions, in which more than the limit may be admitted:
//
//   - Reset begins a window anew; blocks that are out may be spent on top.
//   - While the Python service writes the same document, each of its writes may
//     undo a reservation. See docs/throttle.md for the way through.
//   - With Options.OnError Allow, units that are admitted while the store is down
//     are not counted. The same holds for a shadow policy, which never refuses.
//   - A machine that is suspended stops its monotonic clock; a block may then be
//     spent after its window has ended, still within that window's limit.
//
// # All actions together
//
// A policy whose action is TotalAction bounds all actions of a tenant together. A
// request then takes its units from two windows, or from neither (total.go). All of
// the above holds for each of them, and a refusal may be early by the units of
// requests in flight. Options.ActionsClosed refuses actions that no policy names.
//
// # What it costs
//
// One process writes the document of one busy tenant about once a second,
// whatever the rate. While it learns the rate, and near the limit, where blocks
// become small, there are some ten writes in a row. A window costs one read more. A
// tenant that asks once a minute costs one read and one write each time. Refused
// tenants cost at most thirty reads a window. Memory is about 140 bytes for a
// key; there is no goroutine and no timer per tenant.
//
// # Errors
//
// A refusal is not an error: Decision.Allowed is false. ErrInvalid is the caller's
// fault: answer 400. ErrUnavailable: the store did not answer before the caller's
// deadline, nor in three tries of Options.Timeout each: answer 503, never 429. A
// tenant whose block is not used up, and one whose window is known to be full, do
// not notice that the store is down.
//
// A try is a read and a write at most. Only a successful write resets the count of
// tries and the pauses between them. Losing a race for a document is not a failure:
// the limiter retries with growing pauses, for as long as three tries may take.
//
// A failing store is not stormed: a key whose tries fail may have 36 at once
// and one a second, all keys of a limiter 64 at once and 16 a second, until a
// write succeeds (budget.go). Tries beyond that fail at once.
//
// # What it does not do
//
// It does not smooth: a whole limit may be spent at once at the end of one window
// and again at the beginning of the next. It does not authenticate. It does not
// refund units whose request failed later.
//
// # Telemetry
//
// Metrics, never with a tenant in a label; action is one that a policy names, or
// "other":
//
//   - quota.decisions, by action and outcome: allowed, refused, refused_early
//     (Decision.Contended), shadowed (admitted by a shadow policy), failed_open
//     (admitted while the store was down), unavailable, abandoned (the caller
//     had gone), invalid
//   - quota.store.duration, seconds, by operation (load, reserve, release) and
//     outcome (ok, conflict, error): its count is the calls of the store
//   - quota.units.reserved by action, quota.units.released, and
//     quota.units.stranded by action: reserved, or perhaps reserved, and lost
//   - quota.near_limit by action: windows of which four fifths were reserved
//   - quota.keys: tenants and actions in memory
//   - quota.tenants.crowded: tenants with a hundred live actions and more
//   - quota.listener.connected: 1 while resets and policies are told as they
//     happen, else 0
//   - quota.policies.refused: policy files and documents that were bad
//
// A request that waits for the store has a span "quota.wait". Refused policies and
// tenants with many actions are logged. A Watch that cannot be opened is logged
// once, and so is a store that fails so often that it is spared, and the recovery
// of each.
//
// The words are in docs/glossary.md.
package quota
