package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/events"
)

// Options are the settings of a Consumer. A zero field means its default.
type Options struct {
	// MaxOutstandingMessages and MaxOutstandingBytes bound the messages that are
	// admitted and not yet settled, and with them the memory that a backlog takes.
	// Bytes are those of bodies and attributes; a message larger than the bound is
	// admitted alone. Moves of whole tenants that wait for the ledger have as much
	// again of their own, and messages that wait for the dead-letter topic half as
	// much, so that nothing else waits for them. Defaults: 3,000 and 64 MiB.
	MaxOutstandingMessages int
	MaxOutstandingBytes    int64

	// BatchChanges and BatchBytes bound one call of Store.Apply. A message with
	// more changes is a batch of its own. Defaults: 500 and 4 MiB.
	BatchChanges int
	BatchBytes   int64

	// Linger is how long a batch that is not full waits for more while another
	// is in flight. Default: 5 ms.
	Linger time.Duration

	// Appliers is how many batches are applied at the same time, beside one of
	// changes of the ledger. Default: 8.
	Appliers int

	// CommitTimeout bounds one call of Store.Apply. Default: 10 s.
	CommitTimeout time.Duration

	// RetryBudget bounds the time, from the first attempt on, in which temporary
	// failures are retried before their messages are nacked. Keep it well inside
	// the acknowledgement deadline. Default: 10 s.
	RetryBudget time.Duration

	// DeadLetterTimeout bounds the confirmation of one dead letter. Default:
	// 15 s.
	DeadLetterTimeout time.Duration

	// StartTimeout bounds the check, at the start, that everything is there.
	// Default: 10 s.
	StartTimeout time.Duration

	// DrainTimeout bounds a shutdown. Default: 20 s.
	DrainTimeout time.Duration

	// ReadyTimeout is how long work may wait without a single ack before Ready
	// fails. Default: 30 s.
	ReadyTimeout time.Duration

	// Accept is the types that each subscription, by its short name, carries;
	// others are refused as unknown_type. One without any carries every type.
	Accept map[string][]events.Type

	// Sources are patterns of the sources that may send a type (envelope.Rules);
	// others are refused as foreign_source. A type without any: every source.
	Sources map[events.Type][]string

	// MaxEventAge is how far before its message's publish time an event's time
	// may be before it is refused as from_past. Default: any time.
	MaxEventAge time.Duration

	// MaxClockSkew is how far after its message's publish time an event's time
	// may be before it is refused as from_future. Default: 5 min.
	MaxClockSkew time.Duration

	Logger         *slog.Logger         // nil: discard
	MeterProvider  metric.MeterProvider // nil: none
	TracerProvider trace.TracerProvider // nil: none
}

// Validate returns every fault of the settings at once.
func (o Options) Validate() error {
	var faults []error
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"max outstanding messages", int64(o.MaxOutstandingMessages)},
		{"max outstanding bytes", o.MaxOutstandingBytes},
		{"batch changes", int64(o.BatchChanges)},
		{"batch bytes", o.BatchBytes},
		{"linger", int64(o.Linger)},
		{"appliers", int64(o.Appliers)},
		{"commit timeout", int64(o.CommitTimeout)},
		{"retry budget", int64(o.RetryBudget)},
		{"dead letter timeout", int64(o.DeadLetterTimeout)},
		{"start timeout", int64(o.StartTimeout)},
		{"drain timeout", int64(o.DrainTimeout)},
		{"ready timeout", int64(o.ReadyTimeout)},
		{"max clock skew", int64(o.MaxClockSkew)},
		{"max event age", int64(o.MaxEventAge)},
	} {
		if n.value < 0 {
			faults = append(faults, fmt.Errorf("consumer: %s must not be negative", n.name))
		}
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxOutstandingMessages, 3_000)
	setDefault(&o.MaxOutstandingBytes, 64<<20)
	setDefault(&o.BatchChanges, UsualBatch.Changes)
	setDefault(&o.BatchBytes, UsualBatch.Bytes)
	setDefault(&o.Linger, 5*time.Millisecond)
	setDefault(&o.Appliers, 8)
	setDefault(&o.CommitTimeout, 10*time.Second)
	setDefault(&o.RetryBudget, 10*time.Second)
	setDefault(&o.DeadLetterTimeout, 15*time.Second)
	setDefault(&o.StartTimeout, 10*time.Second)
	setDefault(&o.DrainTimeout, 20*time.Second)
	setDefault(&o.ReadyTimeout, 30*time.Second)
	setDefault(&o.MaxClockSkew, 5*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
