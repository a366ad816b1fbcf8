package judge

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// truth is what is known of which changes counted when.
type truth struct {
	byResource map[string][]*change // that name it, by "kind/id"
	ledger     []*change
	// Of the ledger: the moves from a tenant, and the retractions of a move.
	leaving     map[string][]*change
	retractions map[ownership.EventName][]*change
	published   map[string]events.Event // by the message's name
	moves       map[ownership.EventName]events.Event
	claims      map[Ownership]bool // that the archive has
	deleted     map[string]bool    // resources that the archive has as deleted
	erased      map[string]*erasure
	known       map[string]map[string]bool // answers of owners, some of the last ones
}

// A change may count from a time on, and counts for certain from another.
type change struct {
	ownership.Change
	number int
	from   int64
	by     int64 // never if that is not known
}

func newTruth(h *History) *truth {
	t := &truth{
		byResource: map[string][]*change{}, leaving: map[string][]*change{}, retractions: map[ownership.EventName][]*change{}, published: map[string]events.Event{},
		moves: map[ownership.EventName]events.Event{}, claims: map[Ownership]bool{}, known: map[string]map[string]bool{},
		deleted: map[string]bool{}, erased: erasures(h),
	}
	acknowledged := firstBy(h.of(Acknowledged), func(r Record) string { return r.Name }, func(r Record) int64 { return r.At })
	full := map[string]bool{}
	for l := range h.of(Letter) {
		if l.Reason == string(events.HistoryFull) || l.Reason == string(events.Panic) {
			full[l.Name] = true // it may have counted for some of its resources
		}
	}
	for p := range h.of(Published) {
		if p.Want != "" || p.Event == nil {
			continue
		}
		e, err := archived.Decode(p.Event, farFuture)
		if err != nil {
			continue // judgeEvents says so
		}
		t.published[p.Name] = e
		by, ok := acknowledged[p.Name]
		if !ok || full[p.Name] {
			by = never
		}
		t.add(e, p.At, by)
	}
	for _, e := range h.Archive {
		if m, ok := e.Data.(events.TenantMoved); ok && m.Resources == nil {
			t.moves[ownership.EventName{Source: e.Source, ID: e.ID}] = e
		}
		if c := handlers.Changes(e)[0]; c.Entry.Type == ownership.Deleted {
			t.deleted[c.Resource.String()] = true
		}
	}
	t.addClaims(h)
	t.addOperators(h)
	t.addErased(h)
	return t
}

func (t *truth) add(e events.Event, from, by int64) {
	for _, c := range handlers.Changes(e) {
		t.addChange(&change{Change: c, from: from, by: by})
	}
}

// addChange adds a change, or what another message says of one that is known.
func (t *truth) addChange(c *change) {
	all := t.ledger
	if !c.OfLedger() {
		all = t.byResource[c.Resource.String()]
	}
	for _, known := range all {
		if known.Entry.Equal(c.Entry) {
			known.from, known.by = min(known.from, c.from), min(known.by, c.by)
			return
		}
	}
	c.number = len(all)
	all = append(all, c)
	switch {
	case !c.OfLedger():
		t.byResource[c.Resource.String()] = all
		return
	case c.Entry.Type == ownership.Retracted:
		t.retractions[nameOfMove(c)] = append(t.retractions[nameOfMove(c)], c)
	default:
		t.leaving[c.Entry.From] = append(t.leaving[c.Entry.From], c)
	}
	t.ledger = all
}

// addOperators adds the moves that operators made, and their retractions.
func (t *truth) addOperators(h *History) {
	for r := range h.of(Operator) {
		by := never
		if r.Until != 0 && r.Status == 0 {
			by = r.Until
		}
		name := ownership.EventName{Source: r.Source, ID: r.ID}
		move, archived := t.moves[name]
		switch r.Kind {
		case "retract":
			if by < never || t.retracted(h, name) {
				t.addChange(&change{Change: ownership.Retraction(ownership.Version{Source: r.Source, ID: r.ID}, "", ""), from: r.At, by: by})
			}
		case "start":
			if archived {
				t.add(move, r.At, by)
			}
		}
	}
}

func (t *truth) retracted(h *History, name ownership.EventName) bool {
	return slices.ContainsFunc(h.Archive, func(e events.Event) bool {
		r, ok := e.Data.(archived.Retracted)
		return ok && r.EventSource == name.Source && r.EventID == name.ID
	})
}

// firstBy returns the smallest time of the records of each name.
func firstBy[K comparable](records iter.Seq[Record], name func(Record) K, at func(Record) int64) map[K]int64 {
	first := map[K]int64{}
	for r := range records {
		k := name(r)
		if was, ok := first[k]; !ok || at(r) < was {
			first[k] = at(r)
		}
	}
	return first
}

// parseResource parses "thread/th_1".
func parseResource(text string) registry.Resource {
	kind, id, _ := strings.Cut(text, "/")
	return registry.Resource{Kind: registry.Kind(kind), ID: id}
}

// farFuture is later than any event's time.
var farFuture = time.Unix(0, never)
