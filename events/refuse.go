package events

import "github.com/northstar-engines/realtime-registry/internal/envelope"

// Refusal is the error of a message that can never succeed. Its field Reason says
// why, for programs; Detail names the field at fault and what was wrong with it,
// for people.
type Refusal = envelope.Refusal

// Reason says why a message was refused: a text, such as "malformed". It is the
// attribute `dead-letter-reason` of the dead letter (design §5), and a metric label.
type Reason = envelope.Reason

// The reasons. Those before Conflict come from decoding, the rest from applying.
const (
	Malformed     = envelope.Malformed     // the envelope: mode, id, source, time, JSON
	Schema        = envelope.Schema        // the data: fields, patterns, from = to
	UnknownType   = envelope.UnknownType   // a type that this registry, or this subscription, does not take
	ForeignSource = envelope.ForeignSource // a source that may not send the type
	TooLarge      = envelope.TooLarge      // more than MaxDataBytes
	FromFuture    = envelope.FromFuture    // would win over everything that follows
	FromPast      = envelope.FromPast      // would win over everything that came before

	Conflict    = envelope.Conflict    // another tenant created the resource first
	HistoryFull = envelope.HistoryFull // the resource was moved too often
	Panic       = envelope.Panic       // a handler panicked; a defect of ours
)
