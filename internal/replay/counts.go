package replay

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
)

// What is what a line says, as reports have it.
type What string

// What a line may say.
const (
	Threads       What = "thread created"
	Canvases      What = "canvas created"
	Deletions     What = "deleted"
	Claims        What = "claims"
	ResourceMoves What = "resources moved"
	TenantMoves   What = "tenant moved"
	PlainSets     What = "plain set"
	Retractions   What = "move retracted"
	NotUnderstood What = "not understood"
)

// Whats lists all of them, in the order of reports.
var Whats = []What{Threads, Canvases, Deletions, Claims, ResourceMoves, TenantMoves, PlainSets, Retractions, NotUnderstood}

func (it *item) what() What {
	switch data := it.event.Data.(type) {
	case events.ThreadCreated:
		return Threads
	case events.CanvasCreated:
		return Canvases
	case events.ThreadDeleted, events.CanvasDeleted:
		return Deletions
	case events.TenantMoved:
		if data.Resources == nil {
			return TenantMoves
		}
		return ResourceMoves
	case archived.Claimed:
		return Claims
	case archived.Asserted:
		return PlainSets
	case archived.Retracted:
		return Retractions
	}
	return NotUnderstood
}

// Counts says how many lines there were, by what they say and what became of
// them.
type Counts map[What]map[handlers.Outcome]int

func (c Counts) add(what What, outcome handlers.Outcome, n int) {
	if c[what] == nil {
		c[what] = map[handlers.Outcome]int{}
	}
	c[what][outcome] += n
}

// merge adds the counts of d to c.
func (c Counts) merge(d Counts) {
	for what, outcomes := range d {
		for outcome, n := range outcomes {
			c.add(what, outcome, n)
		}
	}
}

// Total is how many lines there were.
func (c Counts) Total() (n int) {
	for _, outcomes := range c {
		for _, count := range outcomes {
			n += count
		}
	}
	return n
}

// Of is how many lines ended so.
func (c Counts) Of(outcome handlers.Outcome) (n int) {
	for _, outcomes := range c {
		n += outcomes[outcome]
	}
	return n
}

// Changing is how many lines changed the registry: applied ones, and those that
// have no effect for now but are kept.
func (c Counts) Changing() int { return c.Of(handlers.Applied) + c.Of(handlers.Inapplicable) }
