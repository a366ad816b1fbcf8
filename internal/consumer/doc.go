// Package consumer is the worker's loop: it takes messages from subscriptions,
// turns them into changes of the registry, and settles each message according
// to the outcome (design §5).
//
// # Life of a message
//
//  1. A Transport (PubSub) delivers it from one of many streams; it is admitted
//     once the bounds on unsettled messages and bytes allow it (intake.go).
//  2. It is decoded and validated, several at a time, by the rules of its
//     subscription: which types it carries, who may send them, how old they may
//     be. A message that can never succeed is refused here (intake.go).
//  3. Its changes join a batch: those of resources in one lane, those of the
//     ledger (moves of everything that a tenant owns) in another, so that
//     neither waits for the other (lane.go). A batch is sent when it is full,
//     when the linger is over, or at once if nothing is in flight, so that a
//     single event never waits (batch.go).
//  4. Several batches, one of them the ledger's, are given to the store at a time
//     (apply.go). Transient failures are retried with backoff; the rest of the
//     batch does not wait for them (applier.go, which replays share).
//  5. It is settled, in one place, by one table (settle.go): acked after the
//     commit; or published to the dead-letter topic, confirmed, and then acked;
//     or nacked.
//
// # Guarantees
//
// A message is acked only after every change of it was committed or found to be
// in the registry already, or after the dead-letter topic has confirmed its
// dead letter. In all other cases it is delivered again: delivery is at
// least once, and so are dead letters. The registry makes repetition harmless.
//
// Every message that is delivered is acked or nacked explicitly, within about
// CommitTimeout + RetryBudget of its admission. A panic in decoding, in a
// handler or in the store refuses the message that caused it, alone.
//
// Messages are applied in no particular order.
//
// Memory is bounded whatever the backlog is: by MaxOutstandingMessages and
// MaxOutstandingBytes, once for all messages and once for those in the ledger's
// lane, and by what the transport fetches ahead. PubSub fetches as much again for
// each subscription.
//
// # Shutdown
//
// When the context of Run ends, receiving stops. Admitted messages are settled
// within DrainTimeout; then the rest is nacked, and Run returns nil. A commit in
// flight is never cancelled: its message may be nacked although its commit
// succeeds, and is then a duplicate when it comes again. No message is refused or
// dead-lettered because of a shutdown.
//
// # Errors
//
// Run returns an error if a subscription or the dead-letter topic is missing, is
// not what the worker needs, or does not answer within StartTimeout, and if
// receiving stops unexpectedly: a worker that cannot receive must not go on
// running.
//
// # Telemetry
//
// Metrics, by OpenTelemetry:
//
//   - registry.events: messages settled, by event.type, outcome (applied,
//     duplicate, inapplicable, gone, refused, transient) and, if refused, reason;
//   - registry.event.lag, registry.message.lag (s): from the event's time, and
//     from the time at which it was published, until its ack;
//   - registry.apply.duration (s), registry.apply.retries, registry.batch.size
//     (changes): calls of ownership.Store.Apply;
//   - registry.messages.outstanding: messages delivered and not yet settled;
//   - registry.pubsub.acks.unconfirmed, by subscription: acknowledgements that Pub/Sub
//     has not confirmed;
//   - registry.pubsub.streams.connected, by subscription: StreamingPull streams on which
//     Pub/Sub answers, or that it has kept open for a while; none while it is silent;
//   - registry.pubsub.answer.age (s): since Pub/Sub last answered anything;
//   - registry.pubsub.faults: subscriptions, and the dead-letter topic, that are
//     not as the worker needs them;
//   - registry.dead_letters: dead letters confirmed, by reason; and
//     registry.dead_letter.failures: those that were not, and were nacked;
//   - registry.displaced: acknowledged events that another one displaced: a move
//     under the same name, a creation by another tenant;
//   - registry.history_full.would_count: moves that were refused although they
//     would have changed the owner;
//   - registry.born_moved: creations to which a move of the whole tenant applied
//     at once, since it is older than their publication. The worker knows of a
//     move LedgerStaleness after its commit at the latest;
//   - registry.moves.backdated: moves of whole tenants whose time is more than
//     MaxClockSkew before their publication.
//
// Traces: a span "process" for each message until it is settled, the root of a
// trace that links to the publisher's (ce-traceparent, else
// googclient_traceparent), so that no publisher decides what is sampled; and a
// span "apply" for each attempt at a batch, which links to those of its messages,
// or is the child of the only one. If nothing is traced, the log has the
// publisher's trace id.
//
// Logs: the loss of Pub/Sub and its return, and faults of subscriptions and their
// repair, once each. Refusals, the four kinds of events above (the first two as
// errors), transient failures and panics are logged with the message's and the
// event's identity. Each kind is rate-limited, and says how many lines were left
// out.
package consumer
