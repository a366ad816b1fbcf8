package judge

import (
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
	known       map[string]map[string]bool
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
	}
	acknowledged := firstBy(h.of(Acknowledged), func(r Record) string { return r.Name }, func(r Record) int64 { return r.At })
	full := map[string]bool{}
	for _, l := range h.of(Letter) {
		if l.Reason == string(events.HistoryFull) || l.Reason == string(events.Panic) {
			full[l.Name] = true // it may have counted for some of its resources
		}
	}
	for _, p := range h.of(Published) {
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
	}
	t.addClaims(h)
	t.addOperators(h)
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

// addClaims adds the claims that the archive has: when a claim was made, only the
// registry knows. One that nobody asked for is left to judgeEvents.
func (t *truth) addClaims(h *History) {
	of := func(r Record) Ownership { return Ownership{r.Tenant, r.Resource} }
	asked := firstBy(h.of(Claim), of, func(r Record) int64 { return r.At })
	var yes []Record
	for _, r := range h.of(Claim) {
		if r.Status == created {
			yes = append(yes, r)
		}
	}
	answered := firstBy(yes, of, Record.until)
	for _, e := range h.Archive {
		c, ok := e.Data.(archived.Claimed)
		if !ok {
			continue
		}
		name := claimName(c)
		t.claims[name] = true
		by, ok := answered[name]
		if !ok {
			by = never
		}
		t.add(e, asked[name], by)
	}
}

// addOperators adds the moves that operators made, and their retractions.
func (t *truth) addOperators(h *History) {
	for _, r := range h.of(Operator) {
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
func firstBy[K comparable](records []Record, name func(Record) K, at func(Record) int64) map[K]int64 {
	first := map[K]int64{}
	for _, r := range records {
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
