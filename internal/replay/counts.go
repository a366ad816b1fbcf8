package replay

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
)

// What is what a line says, as reports have it.
type What string

// What a line may say.
const (
	Threads       What = "thread created"
	Canvases      What = "canvas created"
	Claims        What = "claims"
	ResourceMoves What = "resources moved"
	TenantMoves   What = "tenant moved"
	PlainSets     What = "plain set"
	Retractions   What = "move retracted"
	NotUnderstood What = "not understood"
)

// Whats lists all of them, in the order of reports.
var Whats = []What{Threads, Canvases, Claims, ResourceMoves, TenantMoves, PlainSets, Retractions, NotUnderstood}

func (it *item) what() What {
	switch data := it.event.Data.(type) {
	case events.ThreadCreated:
		return Threads
	case events.CanvasCreated:
		return Canvases
	case events.TenantMoved:
		if data.Resources == nil {
			return TenantMoves
		}
		return ResourceMoves
	case events.Claimed:
		return Claims
	case events.Asserted:
		return PlainSets
	case events.Retracted:
		return Retractions
	}
	return NotUnderstood
}

// Counts says how many lines there were, by what they say and what became of
// them.
type Counts map[What]map[handlers.Verdict]int

func (c Counts) add(what What, verdict handlers.Verdict, n int) {
	if c[what] == nil {
		c[what] = map[handlers.Verdict]int{}
	}
	c[what][verdict] += n
}

// merge adds the counts of d to c.
func (c Counts) merge(d Counts) {
	for what, verdicts := range d {
		for verdict, n := range verdicts {
			c.add(what, verdict, n)
		}
	}
}

// Total is how many lines there were.
func (c Counts) Total() (n int) {
	for _, verdicts := range c {
		for _, count := range verdicts {
			n += count
		}
	}
	return n
}

// Of is how many lines ended so.
func (c Counts) Of(verdict handlers.Verdict) (n int) {
	for _, verdicts := range c {
		n += verdicts[verdict]
	}
	return n
}

// Changing is how many lines changed the registry: applied ones, and those that
// have no effect for now but are kept.
func (c Counts) Changing() int { return c.Of(handlers.Applied) + c.Of(handlers.Inapplicable) }
