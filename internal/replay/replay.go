// Package replay applies archives straight to the registry: through the same
// decoding, handlers, batches, applier and store as the worker, without Pub/Sub in
// between.
//
// The worker also sends a batch that is not full, once nothing more has come for a
// while, and in any order. A replay sends full batches alone, and one that names what
// another names waits for that. So the outcome of a line depends on the archive and on
// the registry, and not on how fast either is, and a dry run counts exactly what the
// replay will.
//
// Replaying is harmless however often: the registry is a set of events. The
// order of lines matters only for the cost: if an archive has the moves of whole
// tenants first, as `export --events` writes it, nothing is left to be rewritten.
//
// # What may go wrong
//
// A line that can never succeed is refused: it is given to Options.Refused, counted,
// and skipped. So is a line that was not asked for: retractions and plain sets of an
// archive change owners without a published event, and need an option each. A line
// that the store cannot apply now is retried for RetryFor; then the replay ends with
// an error. A replay that ended early, even by a kill, resumes after its checkpoint:
// every line before that is applied. Their hash shows that these lines are still the
// same, before any other line is applied.
//
// A dry run keeps its would-be writes in memory, on top of what it reads: each
// resource that the archive names is read once. It writes nothing.
package replay

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Options of a replay.
type Options struct {
	Rate         governor.Rate // documents a second; default: Firestore's ramp
	MaxClockSkew time.Duration // an event later than now and this is refused
	RetryFor     time.Duration // how long to go on if the store fails; default 1 minute
	Batch        int           // changes applied at once; default 500
	Appliers     int           // batches at once; default 4

	Retractions bool // apply registry.retracted.v1
	Assertions  bool // apply registry.asserted.v1
	// Only, if not empty, are the types that the lines may have; others are refused as
	// unknown_type.
	Only []events.Type
	// ToLog puts the moves into the outbox: an operator makes them now, and no topic has
	// them.
	ToLog bool

	// Resume is where an earlier replay of the same files ended.
	Resume Checkpoint
	// Save is called with checkpoints, about once a second and at the end; an
	// error ends the replay. May be nil.
	Save func(Checkpoint) error
	// Refused is called for each refused line, in the order of lines within a
	// batch. An error ends the replay.
	Refused func(Refusal) error
	// Displaced is called for each entry that lost its place to a line, in the
	// order of lines within a batch. An error ends the replay. May be nil.
	Displaced func(Displaced) error
	// Progress is called after each batch. May be nil.
	Progress func(Counts)
}

// Refusal is a line that can never succeed.
type Refusal struct {
	File   string        `json:"file"`
	Line   int           `json:"line"`
	Reason events.Reason `json:"reason"`
	Detail string        `json:"detail"`
	Text   string        `json:"text"` // the line; "" if it was too long to be read
}

// NotAsked is the reason of lines that an option would have applied.
const NotAsked events.Reason = "not_asked"

// Displaced is what was acknowledged earlier and lost its place to a line: the
// creation by another tenant, or a move under the same name.
type Displaced struct {
	At       Position          // the line
	Resource registry.Resource // zero for the move of a whole tenant
	Entry    ownership.Entry
}

// Lines is what is replayed: an archive.Reader, or the messages of the registry's log.
type Lines interface {
	// Lines yields every line. An error is the last.
	Lines(ctx context.Context) iter.Seq2[archive.Line, error]
	// Digest is of all that has been yielded, for checkpoints.
	Digest() string
}

// Run applies what the reader has, and returns what became of it, also if it
// ends early. When ctx ends, what is under way is finished and counted, and the
// error is that of ctx.
func Run(ctx context.Context, store consumer.Store, lines Lines, o Options) (Counts, error) {
	return newReplay(store, o).run(ctx, lines)
}

// commitTimeout bounds one attempt at a batch. An attempt that is cut off is tried
// again, and what it committed all the same is a duplicate then: so it is long.
const commitTimeout = time.Minute

// replay is one call of Run.
type replay struct {
	o          Options
	decodeLine func(line []byte, notAfter time.Time) (events.Event, error)
	governor   *governor.Governor
	applier    consumer.Applier
	watermark  *watermark
}

func newReplay(store consumer.Store, o Options) *replay {
	if o.RetryFor == 0 {
		o.RetryFor = time.Minute
	}
	if o.Batch == 0 {
		o.Batch = consumer.UsualBatch.Changes
	}
	if o.Appliers == 0 {
		o.Appliers = 4
	}
	return &replay{
		o:          o,
		decodeLine: archived.Decode,
		governor:   governor.New(o.Rate),
		applier:    consumer.Applier{Store: store, CommitTimeout: commitTimeout, RetryBudget: o.RetryFor},
		watermark:  newWatermark(o.Resume),
	}
}

func (r *replay) run(ctx context.Context, lines Lines) (Counts, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.o.Appliers + 1)
	group.Go(func() error { return r.read(ctx, lines, group) })
	err := group.Wait()
	return r.watermark.counts(), errors.Join(err, r.watermark.save(r.o.Save, true))
}
