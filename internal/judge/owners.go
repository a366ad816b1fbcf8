package judge

import (
	"strconv"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

// open bounds how many changes may be in doubt: their sets are all tried.
const open = 10

// mostKnown bounds how many answers are kept: most questions are asked again soon.
const mostKnown = 50_000

// owners returns who may have owned a resource ("" for nobody) at some moment between
// two times; nil if too much is in doubt.
func (t *truth) owners(resource string, since, until int64) map[string]bool {
	var certain, doubtful []*change
	for _, c := range t.relevant(resource, until) {
		if c.by <= since {
			certain = append(certain, c)
		} else {
			doubtful = append(doubtful, c)
		}
	}
	if len(doubtful) > open {
		return nil
	}
	key := t.key(resource, certain, doubtful)
	if known, ok := t.known[key]; ok {
		return known
	}
	found := map[string]bool{}
	for set := range 1 << len(doubtful) {
		var fold reference.Registry
		for _, c := range certain {
			fold.Add(c.Change)
		}
		for i, c := range doubtful {
			if set&(1<<i) != 0 {
				fold.Add(c.Change)
			}
		}
		found[fold.Owner(parseResource(resource))] = true
	}
	if len(t.known) >= mostKnown {
		clear(t.known)
	}
	t.known[key] = found
	return found
}

// key names a resource, what is certain of it, and what is in doubt.
func (t *truth) key(resource string, certain, doubtful []*change) string {
	key := []byte(resource)
	for _, all := range [][]*change{certain, doubtful} {
		key = append(key, '|')
		for _, c := range all {
			if c.OfLedger() {
				key = append(key, 'l')
			}
			key = append(strconv.AppendInt(key, int64(c.number), 36), ' ')
		}
	}
	return string(key)
}

// relevant returns the changes that may have counted before a time, and may matter to
// the resource: those that name it, and of the ledger's those of tenants that it may
// have come to.
func (t *truth) relevant(resource string, until int64) (found []*change) {
	tenants, left := map[string]bool{}, []string{}
	reach := func(tenant string) {
		if tenant != "" && !tenants[tenant] {
			tenants[tenant] = true
			left = append(left, tenant)
		}
	}
	for _, c := range t.byResource[resource] {
		if c.from <= until {
			found = append(found, c)
			reach(c.Entry.Tenant)
			reach(c.Entry.From)
			reach(c.Entry.To)
		}
	}
	names := map[ownership.EventName]bool{}
	for len(left) > 0 {
		tenant := left[0]
		left = left[1:]
		for _, c := range t.leaving[tenant] {
			if c.from > until {
				continue
			}
			found = append(found, c)
			reach(c.Entry.To)
			if name := nameOfMove(c); !names[name] {
				names[name] = true
				for _, r := range t.retractions[name] {
					if r.from <= until {
						found = append(found, r)
					}
				}
			}
		}
	}
	return found
}

func nameOfMove(c *change) ownership.EventName {
	return ownership.EventName{Source: c.Entry.Source, ID: c.Entry.ID}
}

// end returns the owners in the end, if all counts that was published and not refused
// for want of room.
func (t *truth) end(left map[string]bool) map[registry.Resource]string {
	var fold reference.Registry
	for _, c := range t.ledger {
		fold.Add(c.Change)
	}
	for name, changes := range t.byResource {
		if left[name] {
			continue
		}
		for _, c := range changes {
			fold.Add(c.Change)
		}
	}
	return fold.Owners()
}
