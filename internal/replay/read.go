package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// item is a line, with what it says or why it says nothing.
type item struct {
	at      Position
	text    string // kept for refusals only
	event   events.Event
	refusal *events.Refusal
	changes []ownership.Change
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

// read makes batches of the lines behind the checkpoint, and has them applied. That
// what it skips is what was applied is proved by its hash.
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
