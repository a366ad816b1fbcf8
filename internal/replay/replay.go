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

// apply applies a batch, and tries again what failed. What was begun is
// finished, also when ctx ends.
func (r *replay) apply(ctx context.Context, b *batch) error {
	if err := r.governor.Wait(ctx, b.size); err != nil {
		return err
	}
	results := make([]handlers.Result, len(b.items))
	pending := make([]int, 0, len(b.items))
	for i, it := range b.items {
		if it.refusal != nil {
			results[i] = handlers.Refuse(it.refusal)
		} else {
			pending = append(pending, i)
		}
	}
	giveUp, wait := time.Now().Add(r.o.RetryFor), 100*time.Millisecond
	for {
		r.attempt(context.WithoutCancel(ctx), b, pending, results)
		var failed []int
		for _, i := range pending {
			if results[i].Verdict == handlers.Transient {
				failed = append(failed, i)
			}
		}
		if pending = failed; len(pending) == 0 {
			break
		}
		err := fmt.Errorf("%s: %w", b.items[pending[0]].at, results[pending[0]].Err)
		if tooNew := firstTooNew(pending, results); tooNew != nil {
			return tooNew // nothing changes it but another release
		}
		if time.Now().After(giveUp) || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		wait = min(2*wait, 5*time.Second)
	}
	return r.settle(b, results)
}

func firstTooNew(pending []int, results []handlers.Result) error {
	for _, i := range pending {
		if err := results[i].Err; errors.Is(err, registry.ErrTooNew) {
			return err
		}
	}
	return nil
}

// attempt applies what is pending: retractions first, so that what they take
// back never counts, then moves of whole tenants, then all the rest, which is then
// folded with them and needs no rewriting.
func (r *replay) attempt(ctx context.Context, b *batch, pending []int, results []handlers.Result) {
	var ledger, rest []int
	for _, i := range pending {
		if retraction, ok := handlers.Retraction(b.items[i].event); ok {
			results[i] = handlers.Reduce([]registry.Outcome{r.store.Retract(ctx, retraction)})
			continue
		}
		if b.items[i].what() == TenantMoves {
			ledger = append(ledger, i)
		} else {
			rest = append(rest, i)
		}
	}
	for _, part := range [][]int{ledger, rest} {
		r.applyItems(ctx, b, part, results)
	}
}

func (r *replay) applyItems(ctx context.Context, b *batch, indexes []int, results []handlers.Result) {
	if len(indexes) == 0 {
		return
	}
	var changes []registry.Change
	for _, i := range indexes {
		changes = append(changes, b.items[i].changes...)
	}
	outcomes := r.store.Apply(ctx, changes)
	for _, i := range indexes {
		own := len(b.items[i].changes)
		results[i] = handlers.Reduce(outcomes[:own])
		b.items[i].note(outcomes[:own])
		outcomes = outcomes[own:]
	}
}

// note keeps what the outcomes of an item's changes displaced.
func (it *item) note(outcomes []registry.Outcome) {
	for i, o := range outcomes {
		if news := o.Kind == registry.Applied || o.Kind == registry.Inapplicable; news && o.Displaced != nil {
			it.displaced = append(it.displaced, Displaced{it.at, it.changes[i].Resource, *o.Displaced})
		}
	}
}

func (r *replay) settle(b *batch, results []handlers.Result) error {
	for i, result := range results {
		if result.Verdict == handlers.Refused && r.o.Refused != nil {
			it := b.items[i]
			refusal := Refusal{it.at.File, it.at.Line, result.Refusal.Reason, result.Refusal.Detail, it.text}
			if err := r.ledger.locked(func() error { return r.o.Refused(refusal) }); err != nil {
				return fmt.Errorf("note refused line %s: %w", it.at, err)
			}
		}
	}
	for _, it := range b.items {
		for _, d := range it.displaced {
			if r.o.Displaced == nil {
				continue
			}
			if err := r.ledger.locked(func() error { return r.o.Displaced(d) }); err != nil {
				return fmt.Errorf("name what line %s displaced: %w", it.at, err)
			}
		}
	}
	counts := r.ledger.done(b, results)
	if r.o.Progress != nil {
		_ = r.ledger.locked(func() error { r.o.Progress(counts); return nil })
	}
	return r.ledger.save(r.o.Save, false)
}
