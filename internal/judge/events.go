package judge

import (
	"fmt"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// content names what one event did to one resource, whatever its time.
type content struct {
	typ                          ownership.EntryType
	source, id, tenant, from, to string
	resource                     registry.Resource
}

func contentOf(c ownership.Change) content {
	e := c.Entry
	return content{e.Type, e.Source, e.ID, e.Tenant, e.From, e.To, c.Resource}
}

// account is what the registry has, and what it refused, in the end.
type account struct {
	deleted   map[string]bool // resources, whatever else is said of them
	kept      map[content]bool
	creators  map[registry.Resource]map[string]bool // tenants of creations that are kept
	displaced map[[3]string]bool                    // source, id, resource
	letters   map[string][]Record
	asked     map[content]bool // published
	tenants   map[registry.Resource]map[string]bool
	contents  map[ownership.EventName]map[content]bool
}

func newAccount(h *History, t *truth) *account {
	a := &account{
		deleted: t.deleted,
		kept:    map[content]bool{}, creators: map[registry.Resource]map[string]bool{}, displaced: map[[3]string]bool{},
		letters: map[string][]Record{}, asked: map[content]bool{}, tenants: map[registry.Resource]map[string]bool{},
		contents: map[ownership.EventName]map[content]bool{},
	}
	for _, e := range h.Archive {
		for _, c := range handlers.Changes(e) {
			a.kept[contentOf(c)] = true
			if c.Entry.Type == ownership.Created {
				add(a.creators, c.Resource, c.Entry.Tenant)
			}
		}
	}
	for r := range h.of(Claim) { // a deletion leaves nothing of a claim
		if r.Status == created || r.Status == unavailable || r.Status == 0 {
			add(a.tenants, parseResource(r.Resource), r.Tenant)
		}
	}
	for d := range h.of(Displaced) {
		a.displaced[[3]string{d.Source, d.ID, d.Resource}] = true
	}
	for l := range h.of(Letter) {
		a.letters[l.Name] = append(a.letters[l.Name], l)
	}
	for _, e := range t.published {
		for _, c := range handlers.Changes(e) {
			x := contentOf(c)
			a.asked[x] = true
			add(a.contents, ownership.EventName{Source: e.Source, ID: e.ID}, x)
			if c.Entry.Type == ownership.Created {
				add(a.tenants, c.Resource, c.Entry.Tenant)
			}
		}
	}
	return a
}

func add[K, V comparable](sets map[K]map[V]bool, key K, value V) {
	if sets[key] == nil {
		sets[key] = map[V]bool{}
	}
	sets[key][value] = true
}

// judgeEvents: every event is applied, or in the dead-letter topic with its reason,
// never neither, and both only if it was displaced and is marked so.
func (v *Verdict) judgeEvents(h *History, t *truth) {
	a := newAccount(h, t)
	acknowledged := map[string]bool{}
	for r := range h.of(Acknowledged) {
		acknowledged[r.Name] = true
	}
	names := map[string]bool{}
	for p := range h.of(Published) {
		names[p.Name] = true
		v.Judged["messages published"]++
		if !acknowledged[p.Name] && p.Until != 0 {
			v.violation("every message is settled in the end", "%s was never acknowledged", describe(p))
			continue
		}
		e, ok := t.published[p.Name]
		switch {
		case p.Until == 0 && !acknowledged[p.Name]: // whether it was published is not known
		case p.Want != "":
			v.refused(p, a.letters[p.Name])
		case !ok:
			v.violation("the history is whole", "%s cannot be read", describe(p))
		default:
			v.applied(p, e, a)
		}
	}
	for name, letters := range a.letters {
		v.Judged["dead letters"] += len(letters)
		if !names[name] {
			v.violation("nothing is dead-lettered that was not published", "%q: %s: %s", name, letters[0].Reason, letters[0].Detail)
		}
	}
	v.judgeAsked(h, t, a)
}

// refused: what can never succeed is dead-lettered with its reason.
func (v *Verdict) refused(p Record, letters []Record) {
	v.Judged["poison"]++
	if len(letters) == 0 {
		v.violation("what can never succeed is dead-lettered", "%s was acknowledged, and is in no dead letter", describe(p))
	}
	for _, l := range letters {
		if l.Reason != p.Want {
			v.violation("a dead letter says why", "%s should be %s, and is %s: %s", describe(p), p.Want, l.Reason, l.Detail)
		}
	}
}

// applied judges an event that may succeed.
func (v *Verdict) applied(p Record, e events.Event, a *account) {
	letters := a.letters[p.Name]
	changes := handlers.Changes(e)
	lost, kept := 0, 0
	for _, c := range changes {
		switch {
		case a.kept[contentOf(c)]:
			kept++
		case c.Entry.Type == ownership.Created && (a.creators[c.Resource][c.Entry.Tenant] || a.claimed(c)):
			// It is a duplicate of what is kept.
		case a.deleted[nameOf(c.Resource)]: // and nothing else is left
			v.Judged["events of deleted resources"]++
		case a.displaced[[3]string{e.Source, e.ID, nameOf(c.Resource)}]:
			v.Judged["displaced events"]++
		default:
			lost++
		}
	}
	if lost > 0 && len(letters) == 0 {
		v.violation("no event is lost", "%s was acknowledged; it is neither in the registry nor in a dead letter, nor marked as displaced (%d of %d changes)", describe(p), lost, len(changes))
	}
	for _, l := range letters {
		v.letter(p, e, l, a, kept == len(changes))
	}
}

// letter judges a dead letter of an event that may succeed.
func (v *Verdict) letter(p Record, e events.Event, l Record, a *account, kept bool) {
	switch {
	case l.Reason == string(events.HistoryFull):
		v.Judged["full histories"]++
	case l.Reason != string(events.Conflict):
		v.violation("nothing is dead-lettered that may succeed", "%s: %s: %s", describe(p), l.Reason, l.Detail)
	case kept && !a.displaced[[3]string{e.Source, e.ID, nameOf(handlers.Changes(e)[0].Resource)}]:
		v.violation("what is applied is not dead-lettered", "%s is in the registry, and in a dead letter: %s", describe(p), l.Detail)
	case !a.contested(e):
		v.violation("a conflict has another side", "%s: nothing that was published or claimed contradicts it: %s", describe(p), l.Detail)
	}
}

// contested reports whether something else says otherwise than the event: the creation
// or claim of another tenant, or another content of its name.
func (a *account) contested(e events.Event) bool {
	for _, c := range handlers.Changes(e) {
		if c.Entry.Type == ownership.Created {
			for tenant := range a.tenants[c.Resource] {
				if tenant != c.Entry.Tenant {
					return true
				}
			}
		}
	}
	return len(a.contents[ownership.EventName{Source: e.Source, ID: e.ID}]) > len(handlers.Changes(e))
}

// claimed reports whether the archive has a claim by the tenant of a creation.
func (a *account) claimed(c ownership.Change) bool {
	return a.kept[content{
		typ: ownership.Claimed, source: ownership.ClaimSource, id: c.Resource.DocumentID() + "__" + c.Entry.Tenant,
		tenant: c.Entry.Tenant, resource: c.Resource,
	}]
}

// judgeAsked: the registry has nothing that nobody asked for.
func (v *Verdict) judgeAsked(h *History, t *truth, a *account) {
	claims, operators := map[Ownership]bool{}, map[ownership.EventName]bool{}
	for r := range h.of(Claim) {
		claims[Ownership{r.Tenant, r.Resource}] = true
	}
	for r := range h.of(Operator) {
		operators[ownership.EventName{Source: r.Source, ID: r.ID}] = true
	}
	for _, e := range h.Archive {
		v.Judged["events in the archive"]++
		for _, c := range handlers.Changes(e) {
			if c.Entry.Type == ownership.Deleted && !a.asked[contentOf(c)] || t.ofErasure(c.Entry) {
				continue // judgeErasures asks why
			}
			_, plain := e.Data.(archived.Asserted)
			name := ownership.EventName{Source: c.Entry.Source, ID: c.Entry.ID}
			if !a.asked[contentOf(c)] && !claims[Ownership{c.Entry.Tenant, nameOf(c.Resource)}] && !operators[name] && !plain {
				v.violation("the registry has what was asked of it", "%s of %s, source %q, id %q: nobody published, claimed or made it", c.Entry.Type, nameOf(c.Resource), name.Source, name.ID)
			}
		}
	}
}

// nameOf returns the name of a resource, and of the ledger.
func nameOf(r registry.Resource) string {
	if r == (registry.Resource{}) {
		return "ledger"
	}
	return r.String()
}

func describe(p Record) string {
	if p.Event != nil {
		return fmt.Sprintf("message %s (%s)", p.Name, p.Event)
	}
	return fmt.Sprintf("message %s (%v, %d bytes)", p.Name, p.Attributes, len(p.Data))
}
