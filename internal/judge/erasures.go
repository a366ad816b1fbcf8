package judge

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Erase is the kind of the command that erases Tenant: Name is what took the place of
// its name.
const Erase = "erase"

// erasure is what commands did to erase one tenant.
type erasure struct {
	tenant, pseudonym string
	from              int64 // it began
	by                int64 // it had ended; never if it has not
}

// erasures returns those of a history, by tenant.
func erasures(h *History) map[string]*erasure {
	all := map[string]*erasure{}
	for r := range h.of(Operator) {
		if r.Kind != Erase {
			continue
		}
		e := all[r.Tenant]
		if e == nil {
			e = &erasure{tenant: r.Tenant, from: r.At, by: never}
			all[r.Tenant] = e
		}
		e.from = min(e.from, r.At)
		if r.Until != 0 && r.Status == 0 {
			e.by, e.pseudonym = min(e.by, r.Until), r.Name
		}
	}
	return all
}

// named: nothing that the registry has names a tenant that was erased. Then it puts the
// names back into archive and export, so that these say of whom the events were: to
// give a tenant another name changes no fold.
func (v *Verdict) named(h *History) error {
	const rule = "an erased tenant is named nowhere"
	for r := range h.of(Named) {
		v.violation(rule, "%s names %s", r.Resource, r.Tenant)
	}
	for _, e := range erasures(h) {
		if e.pseudonym == "" {
			continue // judgeErasures says that it has not ended
		}
		for i, event := range h.Archive {
			text, err := json.Marshal(event)
			if err != nil {
				return err
			}
			if bytes.Contains(text, []byte(`"`+e.tenant+`"`)) || bytes.Contains(text, []byte("__"+e.tenant+`"`)) {
				v.violation(rule, "the archive: %s", text)
			}
			if !bytes.Contains(text, []byte(e.pseudonym)) {
				continue
			}
			text = bytes.ReplaceAll(text, []byte(e.pseudonym), []byte(e.tenant))
			if h.Archive[i], err = archived.Decode(text, farFuture); err != nil {
				return err
			}
		}
		for r, owner := range h.Export {
			if owner == e.tenant {
				v.violation(rule, "the export: %s is %s's", r, owner)
			}
			if owner == e.pseudonym {
				h.Export[r] = e.tenant
			}
		}
	}
	return nil
}

// addErased adds the deletions that erasures made, each at some time while one was under
// way whose tenant may have owned the resource.
func (t *truth) addErased(h *History) {
	if len(t.erased) == 0 {
		return
	}
	for _, e := range h.Archive {
		c := handlers.Changes(e)[0]
		name := c.Resource.String()
		if c.Entry.Type != ownership.Deleted {
			continue
		}
		made := &change{Change: c, from: never}
		for _, erased := range t.erased {
			if owners := t.owners(name, erased.from, erased.by); owners == nil || owners[erased.tenant] {
				made.from, made.by = min(made.from, erased.from), max(made.by, erased.by)
			}
		}
		if t.publishedDeletion(name) {
			made.by = never // it is what deleted the resource, or was too late for that
		}
		if made.from < never { // judgeErasures says so of others
			t.addChange(made)
		}
	}
}

func (t *truth) publishedDeletion(resource string) bool {
	for _, c := range t.byResource[resource] {
		if c.Entry.Type == ownership.Deleted {
			return true
		}
	}
	return false
}

// judgeErasures: what was erased was the tenant's, and what was the tenant's is erased.
func (v *Verdict) judgeErasures(h *History, t *truth) {
	for _, e := range t.erased {
		if e.by == never {
			v.violation("an erasure that has begun can be ended", "that of %s has not", e.tenant)
			continue
		}
		v.Judged["tenants erased"]++
		reach := t.reaching(e.tenant)
		for resource, changes := range t.byResource {
			if t.deleted[resource] || !mayReach(changes, reach) {
				continue
			}
			owners := t.owners(resource, e.from, e.by)
			v.Judged["resources that an erased tenant may have had"]++
			if len(owners) == 1 && owners[e.tenant] {
				v.violation("what an erased tenant owned is deleted", "%s was %s's, whose erasure began at %s, and is not", resource, e.tenant, at(e.from))
			}
		}
	}
	for resource := range t.deleted {
		if !t.publishedDeletion(resource) {
			v.violation("nothing is deleted that nobody deleted", "%s: no deletion of it was published, and no tenant that was erased can have had it", resource)
		}
	}
}

// reaching returns the tenants whose resources may have come to one by moves of whole
// tenants, and the tenant itself.
func (t *truth) reaching(tenant string) map[string]bool {
	reach := map[string]bool{tenant: true}
	for before := 0; before < len(reach); {
		before = len(reach)
		for _, c := range t.ledger {
			if reach[c.Entry.To] && c.Entry.From != "" {
				reach[c.Entry.From] = true
			}
		}
	}
	return reach
}

func mayReach(changes []*change, reach map[string]bool) bool {
	for _, c := range changes {
		if reach[c.Entry.Tenant] || reach[c.Entry.To] || reach[c.Entry.From] {
			return true
		}
	}
	return false
}

// judgeTombstones: of several deletions the earliest is kept.
func (v *Verdict) judgeTombstones(h *History, t *truth) {
	for _, e := range h.Archive {
		kept := handlers.Changes(e)[0]
		if kept.Entry.Type != ownership.Deleted {
			continue
		}
		v.Judged["tombstones"]++
		for _, c := range t.byResource[kept.Resource.String()] {
			if c.Entry.Type == ownership.Deleted && c.by < never && c.Entry.Time.Before(kept.Entry.Time) {
				v.violation("of several deletions the earliest is kept", "%s: that of %s is, and there is one of %s", kept.Resource, kept.Entry.Time, c.Entry.Time)
			}
		}
	}
}

// gone judges an answer to a tenant that is being erased, or was, and reports whether
// there is nothing else to judge about it. A yes may be from memory, and as old as that.
func (v *Verdict) gone(t *truth, r Record, old int64) bool {
	e := t.erased[r.Tenant]
	switch yes := r.Status == noContent || r.Status == created; {
	case e == nil || r.until() < e.from:
		return false
	case yes && r.At-old > e.by:
		v.violation("an erased tenant owns nothing", "%s told %s %d for %s at %s; it was erased by %s", r.Of, r.Tenant, r.Status, r.Resource, at(r.At), at(e.by))
		return true
	default:
		return !yes
	}
}

// ofErasure reports whether the entry of a ledger says that a tenant was erased, or has
// the key of such entries, in a registry that has erased some.
func (t *truth) ofErasure(e ownership.Entry) bool {
	return len(t.erased) > 0 && e.Source == ownership.ClaimSource && strings.HasPrefix(e.ID, "erased/")
}
