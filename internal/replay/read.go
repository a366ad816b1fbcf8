package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// item is a line, with what it says. What says nothing is refused from the first.
type item struct {
	at    Position
	text  string // kept for refusals only
	event events.Event
	consumer.Work
}

// Weight is what the line takes of a batch. One that changes nothing, since it is
// refused, counts too: a batch of such lines ends some time.
func (it *item) Weight() consumer.Weight {
	return consumer.Weight{Changes: max(1, len(it.Changes)), Bytes: int64(len(it.text))}
}

// batch is some lines, one behind the other.
type batch struct {
	number int
	consumer.Batch[*item]
	digest string // of all up to and with the last item
}

// read makes batches of the lines behind the checkpoint, and has them applied. That
// what it skips is what was applied is proved by its hash.
func (r *replay) read(ctx context.Context, lines Lines, group *errgroup.Group) error {
	b, most := &batch{}, consumer.Weight{Changes: r.o.Batch, Bytes: consumer.UsualBatch.Bytes}
	var order order
	send := func() {
		full := b
		b = &batch{number: full.number + 1}
		order.before(full)
		r.watermark.begun(full)
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
		if !b.Fits(it, most) {
			send()
		}
		b.Add(it)
		b.digest = lines.Digest()
		if b.Full(most) {
			send()
		}
	}
	if skip != (Position{}) {
		return fmt.Errorf("the checkpoint is at %s, which the files do not have", skip)
	}
	if len(b.Works) > 0 {
		send()
	}
	return nil
}

func (r *replay) decode(at Position, line archive.Line) *item {
	it := &item{at: at, text: string(line.Text)}
	refusal := line.Refusal
	if refusal == nil {
		refusal = r.understand(it, line.Text)
	}
	if refusal != nil {
		it.Result = handlers.Refuse(refusal)
	}
	return it
}

// understand decodes a line and asks the handlers what it changes. A panic refuses
// the line.
func (r *replay) understand(it *item, text []byte) (refusal *events.Refusal) {
	defer func() {
		if p := recover(); p != nil {
			refusal = &events.Refusal{Reason: events.Panic, Detail: fmt.Sprint(p)}
		}
	}()
	event, err := r.decodeLine(text, time.Now().Add(r.o.MaxClockSkew))
	if errors.As(err, &refusal) {
		return refusal
	}
	if err != nil {
		return &events.Refusal{Reason: events.Malformed, Detail: err.Error()}
	}
	it.event = event
	if refusal = r.notAsked(event); refusal != nil {
		return refusal
	}
	it.Changes = handlers.Changes(event)
	for i := range it.Changes {
		it.Changes[i].ToLog = r.o.ToLog
	}
	return nil
}

// notAsked returns a refusal of what only an option applies, or nil.
func (r *replay) notAsked(e events.Event) *events.Refusal {
	if len(r.o.Only) > 0 && !slices.Contains(r.o.Only, e.Type()) {
		return &events.Refusal{Reason: events.UnknownType, Detail: fmt.Sprintf("type: %s is none that is taken from here", e.Type())}
	}
	switch e.Data.(type) {
	case archived.Retracted:
		if !r.o.Retractions {
			return &events.Refusal{Reason: NotAsked, Detail: "the retraction of a move: --with-retractions applies it"}
		}
	case archived.Asserted:
		if !r.o.Assertions {
			return &events.Refusal{Reason: NotAsked, Detail: "a plain set: --with-assertions applies it"}
		}
	}
	return nil
}
