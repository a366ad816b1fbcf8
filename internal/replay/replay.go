// Package replay applies archives straight to the registry: through the same
// decoding, handlers and store as the worker, without Pub/Sub in between.
//
// Replaying is harmless however often: the registry is a set of events. The
// order of lines does not matter, except for what it costs: an archive that has the
// moves of whole tenants first, as `export --events` writes it, leaves nothing
// to be rewritten.
//
// # What may go wrong
//
// A line that can never succeed is refused: given to Options.Refused, counted,
// and left behind. So is one that was not asked for: retractions and plain sets of
// an archive change who owns what by nobody's event, and want an option each. What
// the store cannot do now is tried again for RetryFor; then the replay ends with
// an error. A replay that ends early, by a kill too, goes on behind its
// checkpoint: every line before the checkpoint is applied. That these lines are
// still the same is proved by their hash, before any other line is applied.
//
// A dry run keeps what it would write in memory, on top of what it reads: each
// resource that the archive names is read once. It writes nothing.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/events/archive"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Store is what a replay takes of a registry. A dry run has one of its own.
type Store interface {
	Apply(ctx context.Context, changes []registry.Change) []registry.Outcome
	Retract(ctx context.Context, retraction registry.Retraction) registry.Outcome
}

// Options of a replay.
type Options struct {
	Rate         governor.Rate // documents a second; default: Firestore's ramp
	MaxClockSkew time.Duration // an event later than now and this is refused
	RetryFor     time.Duration // how long to go on where the store fails; default 1 minute
	Batch        int           // changes applied at once; default 500
	Appliers     int           // batches at once; default 4

	Retractions bool // apply registry.retracted.v1
	Assertions  bool // apply registry.asserted.v1

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
	Entry    registry.Entry
}

// Run applies what the reader has, and returns what became of it, also where it
// ends early. When ctx ends, what is under way is finished and counted, and the
// error is that of ctx.
func Run(ctx context.Context, store Store, lines *archive.Reader, o Options) (Counts, error) {
	if o.RetryFor == 0 {
		o.RetryFor = time.Minute
	}
	if o.Batch == 0 {
		o.Batch = 500
	}
	if o.Appliers == 0 {
		o.Appliers = 4
	}
	r := &replay{
		store:    store,
		o:        o,
		governor: governor.New(o.Rate),
		ledger:   newLowWater(o.Resume),
	}
	group, ctx2 := errgroup.WithContext(ctx)
	group.SetLimit(o.Appliers + 1)
	group.Go(func() error { return r.read(ctx2, lines, group) })
	err := group.Wait()
	return r.ledger.counts(), errors.Join(err, r.ledger.save(o.Save, true))
}

type replay struct {
	store    Store
	o        Options
	governor *governor.Governor
	ledger   *lowWater
}

// item is a line, with what it says or why it says nothing.
type item struct {
	at      Position
	text    string // kept for refusals only
	event   events.Event
	refusal *events.Refusal
	changes []registry.Change
	// displaced is what the changes displaced, in every attempt: one whose answer
	// was lost has done it.
	displaced []Displaced
}

// batch is some lines, one behind the other.
type batch struct {
	number int
	items  []item
	size   int    // changes
	digest string // of all up to and with the last item
}

func (r *replay) read(ctx context.Context, lines *archive.Reader, group *errgroup.Group) error {
	b := &batch{}
	var order order
	send := func() {
		full := b
		b = &batch{number: full.number + 1}
		order.before(full)
		r.ledger.begun(full)
		group.Go(func() error {
			defer order.done()
			return r.apply(ctx, full)
		})
	}
	skip := r.o.Resume.Position
	for line, err := range lines.Lines(ctx) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		at := Position{File: line.File, Line: line.Number}
		if skip != (Position{}) { // behind the last line that was applied
			if at == skip {
				if lines.Digest() != r.o.Resume.Digest {
					return fmt.Errorf("what the files hold up to %s is not what was applied: remove the checkpoint to begin anew", at)
				}
				skip = Position{}
			}
			continue
		}
		it := r.decode(at, line)
		b.items, b.digest = append(b.items, it), lines.Digest()
		b.size += max(1, len(it.changes))
		if b.size >= r.o.Batch {
			send()
		}
	}
	if skip != (Position{}) {
		return fmt.Errorf("the checkpoint is at %s, which the files do not have", skip)
	}
	if len(b.items) > 0 {
		send()
	}
	return nil
}

func (r *replay) decode(at Position, line archive.Line) item {
	it := item{at: at, text: string(line.Text), refusal: line.Refusal}
	if it.refusal != nil {
		return it
	}
	event, err := events.DecodeLine(line.Text, time.Now().Add(r.o.MaxClockSkew))
	if err != nil {
		if !errors.As(err, &it.refusal) {
			it.refusal = &events.Refusal{Reason: events.Malformed, Detail: err.Error()}
		}
		return it
	}
	it.event = event
	if it.refusal = r.notAsked(event); it.refusal == nil {
		it.changes = handlers.Changes(event)
	}
	return it
}

// notAsked returns a refusal of what only an option applies, or nil.
func (r *replay) notAsked(e events.Event) *events.Refusal {
	switch e.Data.(type) {
	case events.Retracted:
		if !r.o.Retractions {
			return &events.Refusal{Reason: NotAsked, Detail: "the retraction of a move: --with-retractions applies it"}
		}
	case events.Asserted:
		if !r.o.Assertions {
			return &events.Refusal{Reason: NotAsked, Detail: "a plain set: --with-assertions applies it"}
		}
	}
	return nil
}
