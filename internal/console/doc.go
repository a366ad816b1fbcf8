// Package console serves the page at /console: what the registry does at this
// moment, and answers to an operator's questions. It is read-only.
//
// # What it sees
//
// The numbers are the metrics of processes: of its own, which it gathers without a
// request, and of Options.Peers, whose /metrics and /readyz it asks. A process that
// is not among them is not on the page, which lists those that are. Rates are over
// the time between two samples, quantiles over the last WindowSamples of them. A
// restarted process begins anew; it has rates after two samples.
//
// Who owns what, moves, windows and dead letters are read on request, by Look: the
// answers are those of the commands' --json. Refused tenants are those that this
// process has refused (Throttled).
//
// # What it costs
//
// Samples are taken while at least one page is open and not paused, for all viewers: a
// page that is hidden or paused closes its stream. A sample has the metrics of each
// process, of which registry.store.up may cost a read of the store, and every
// PendingEvery the moves whose rewriting has not ended.
//
// # What stands against strangers
//
// The page, its script and its style are constant, and need no token. All that is
// below /console/api does, if the API has one. What comes from elsewhere is never
// HTML: the page sets text alone, and its Content-Security-Policy has no inline
// script, no other origin, and demands trusted types, of which it makes none. The
// token is kept in the tab's sessionStorage and sent as a header: a cookie would be
// sent to every port of the same host, and with every request that another page
// could cause.
//
// # Errors
//
// Those of Look are application/problem+json, as the API's: 400 what is invalid,
// 503 what did not answer, 500 the rest, with the text, since the reader is an
// operator. It emits nothing of its own: its requests are in
// http.server.request.duration.
package console
