package envelope

import "fmt"

// Reason says why a message was refused. It is the attribute
// `dead-letter-reason` of the dead letter (design §5), and a metric label.
type Reason string

// The reasons. Those before Conflict come from decoding, the rest from applying.
// CONTRIBUTING.md lists what a new one touches; package events exports each of
// them.
const (
	Malformed     Reason = "malformed"      // the envelope: mode, id, source, time, JSON
	Schema        Reason = "schema"         // the data: fields, patterns, from = to
	UnknownType   Reason = "unknown_type"   // a type that this registry, or this subscription, does not take
	ForeignSource Reason = "foreign_source" // a source that may not send the type
	TooLarge      Reason = "too_large"      // more than MaxDataBytes
	FromFuture    Reason = "from_future"    // would win over everything that follows
	FromPast      Reason = "from_past"      // would win over everything that came before

	Conflict    Reason = "conflict"     // another tenant created the resource first
	HistoryFull Reason = "history_full" // the resource was moved too often
	Panic       Reason = "panic"        // a handler panicked; a defect of ours
)

// Reasons returns every reason, those of decoding first.
func Reasons() []Reason {
	return []Reason{Malformed, Schema, UnknownType, ForeignSource, TooLarge, FromFuture, FromPast, Conflict, HistoryFull, Panic}
}

// Refusal is the error of a message that can never succeed. Detail names the
// field at fault and what was wrong with it.
type Refusal struct {
	Reason Reason
	Detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Detail) }

// MaxDataBytes bounds an event's data (design §2).
const MaxDataBytes = 256 << 10
