//go:build proofs

package robustness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/judge"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Tenants are in families, within which resources move: what a tenant may own is then
// a matter of few moves, and can be judged. Claims that are put in one order are of
// families that no move of a whole tenant names.
const (
	families = 24
	siblings = 4
)

func tenant(family, i int) string { return fmt.Sprintf("t_f%d_%d", family, i%siblings) }

// world makes what is published and asked, from a seed.
type world struct {
	source string

	mu     sync.Mutex
	random *rand.Rand
	made   int
	left   int // how many leavers have left
	known  []known
	brief  []brief        // the oldest first
	moves  []events.Event // of whole tenants
	past   []events.Event // what was published
}

// known is a resource that exists, or soon will.
type known struct {
	registry.Resource
	family  int
	creator string
}

func newWorld(seed uint64) *world {
	return &world{random: rand.New(rand.NewPCG(seed, 1)), source: fmt.Sprintf("//robustness/%d", seed)}
}

func (w *world) event(data events.Data) events.Event {
	w.made++
	age := time.Duration(w.random.IntN(600_000)) * time.Millisecond
	return events.Event{ID: fmt.Sprint("e", w.made), Source: w.source, Time: time.Now().Add(-age).UTC(), Data: data}
}

// created makes a creation of a resource by a tenant.
func (w *world) created(r registry.Resource, tenant string) events.Event {
	if r.Kind == registry.Thread {
		return w.event(events.ThreadCreated{TenantID: tenant, ThreadID: r.ID})
	}
	return w.event(events.CanvasCreated{TenantID: tenant, CanvasID: r.ID})
}

// message is what is published: an event, or what is none.
type message struct {
	event      *events.Event
	attributes map[string]string // if there is no event
	data       []byte
	topic      string
	want       string // the reason with which it must be refused
}

// next makes messages that belong together.
func (w *world) next() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	if all, ok := w.take(); ok {
		return w.messages(all...)
	}
	switch n := w.random.IntN(200); {
	case n < 20:
		return []message{w.poison()}
	case n < 22:
		from, to := w.two(w.family())
		e := w.event(events.TenantMoved{FromTenantID: from, ToTenantID: to, Reason: "robustness"})
		w.moves = append(w.moves, e)
		return w.messages(e)
	case n < 50 && len(w.known) > 0:
		return w.moved()
	case n < 58 && len(w.known) > 0:
		return w.messages(w.deletions(w.known[w.random.IntN(len(w.known))].Resource)...)
	}
	family := w.family()
	r := registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th_", w.made)}
	if w.random.IntN(4) == 0 {
		r = registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint("ca_", w.made)}
	}
	creator, other := w.two(family)
	w.known = append(w.known, known{r, family, creator})
	w.remember(known{r, family, creator})
	all := []events.Event{w.created(r, creator)}
	if w.random.IntN(25) == 0 { // somebody else says the same
		all = append(all, w.created(r, other))
	}
	if w.random.IntN(40) == 0 { // which may arrive first
		all = append(all, w.deletions(r)...)
	}
	return w.messages(all...)
}

// moved makes a move of some resources of a family, some of which are not the tenant's,
// and now and then another one of the same name.
func (w *world) moved() []message {
	of := w.known[w.random.IntN(len(w.known))]
	from, to := w.two(of.family)
	data := events.TenantMoved{FromTenantID: from, ToTenantID: to}
	for _, k := range w.known[max(0, len(w.known)-200):] {
		if k.family == of.family && len(data.Resources) < 3 {
			data.Resources = append(data.Resources, events.ResourceRef{Kind: string(k.Kind), ID: k.ID})
		}
	}
	if data.Resources == nil {
		data.Resources = []events.ResourceRef{{Kind: string(of.Kind), ID: of.ID}}
	}
	first := w.event(data)
	all := []events.Event{first}
	if w.random.IntN(20) == 0 {
		second := first
		for data.ToTenantID = from; data.ToTenantID == from; {
			data.ToTenantID, _ = w.two(of.family)
		}
		second.Data, second.Time = data, first.Time.Add(time.Duration(w.random.IntN(2000)-1000)*time.Millisecond)
		all = append(all, second)
	}
	return w.messages(all...)
}

func (w *world) messages(all ...events.Event) (messages []message) {
	for _, e := range all {
		copies := 1
		if w.random.IntN(10) == 0 {
			copies = 2
		}
		for range copies {
			messages = append(messages, message{event: &e, topic: e.Type().Topic()})
		}
	}
	return messages
}

// poison makes a message that must be refused.
func (w *world) poison() message {
	e := w.created(registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("poison_", w.made)}, "t_poison")
	attributes, data, err := events.Encode(e)
	if err != nil {
		panic(err)
	}
	m := message{attributes: attributes, data: data, topic: e.Type().Topic()}
	reasons := []events.Reason{events.Malformed, events.Malformed, events.Schema, events.UnknownType, events.UnknownType, events.FromFuture, events.TooLarge}
	i := w.random.IntN(len(reasons) - 1)
	if w.random.IntN(20) == 0 {
		i = len(reasons) - 1 // few, since they are large
	}
	switch m.want = string(reasons[i]); i {
	case 0:
		delete(attributes, "ce-id")
	case 1:
		m.data = data[:len(data)-1]
	case 2:
		m.data = []byte(`{"tenant_id":"nobody","thread_id":"th_1"}`)
	case 3:
		attributes["ce-type"] = "nexus.thread.painted.v1" // which there will not be
	case 4:
		m.topic = events.CanvasCreatedType.Topic() // which carries canvases
	case 5:
		attributes["ce-time"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	case 6:
		m.data = []byte(`{"tenant_id":"t_poison","thread_id":"th_1","text":"` + strings.Repeat("x", events.MaxDataBytes) + `"}`)
	}
	return m
}

// record is what the history says of the message.
func (m message) record(name string) judge.Record {
	r := judge.Record{Type: judge.Published, Name: name, Topic: m.topic, Want: m.want}
	if m.event != nil {
		r.Event, _ = json.Marshal(*m.event)
		return r
	}
	r.Attributes = m.attributes
	if len(m.data) < 1000 {
		r.Data = m.data
	}
	return r
}

// some returns a resource that is known, and a tenant of its family.
func (w *world) some() (r registry.Resource, asking string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.known) == 0 {
		return r, "", false
	}
	recent := w.known[max(0, len(w.known)-400):]
	k := recent[w.random.IntN(len(recent))]
	if w.random.IntN(3) == 0 { // who has it for the most part
		return k.Resource, k.creator, true
	}
	return k.Resource, tenant(k.family, w.random.IntN(siblings)), true
}

// unclaimed makes a resource that several will claim, and some tenants of one family.
func (w *world) unclaimed() (registry.Resource, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	r := registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("claimed_", w.made)}
	// No tenant of these families is moved as a whole: the claims stay in one order.
	family := families + w.random.IntN(families)
	return r, []string{tenant(family, 0), tenant(family, 1), tenant(family, 2)}
}

// chance returns a number below n.
func (w *world) chance(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}
