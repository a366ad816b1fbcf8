package judge

import (
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// patience bounds the search for an order of one resource's, or one window's, answers.
const patience = 20 * time.Second

// A resource that is only ever claimed belongs to the first claim. Checks of it are
// never stale, since it has one owner at most.
var claimModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		r, owner := input.(Record), state.(string)
		switch {
		case r.Type == Check && r.Status == noContent, r.Type == Claim && r.Status == noContent:
			return owner == r.Tenant, owner
		case r.Type == Check && r.Status == notFound:
			return owner != r.Tenant, owner
		case r.Type == Claim && r.Status == created:
			return owner == "", r.Tenant
		case r.Type == Claim && r.Status == conflict:
			return owner != "" && owner != r.Tenant, owner
		case r.Type == Claim && owner == "": // it may have been made, now or later, or never
			return true, r.Tenant
		}
		return true, owner
	},
}

// judgeClaims: claims of one resource, on whatever processes, are in one order.
func (v *Verdict) judgeClaims(h *History, t *truth) {
	byResource := map[string][]porcupine.Operation{}
	clients := map[string]int{}
	claimed := map[string]bool{}
	for r := range h.of(Claim) {
		claimed[r.Resource] = true
	}
	for r := range h.of(Claim, Check) { // of what is being erased the model knows nothing
		if e := t.erased[r.Tenant]; e != nil && r.until() >= e.from {
			delete(claimed, r.Resource)
		}
	}
	for r := range h.of(Claim, Check) {
		if !claimed[r.Resource] || !t.onlyClaimed(r.Resource) {
			continue
		}
		unknown := r.Status == 0 || r.Status == unavailable
		if r.Type == Check && unknown {
			continue
		}
		if _, ok := clients[r.By]; !ok {
			clients[r.By] = len(clients)
		}
		op := porcupine.Operation{ClientId: clients[r.By], Input: r, Call: r.At, Return: r.until()}
		if unknown {
			op.Return = never
		}
		byResource[r.Resource] = append(byResource[r.Resource], op)
	}
	for resource, ops := range byResource {
		v.Judged["claims and checks put in one order"] += len(ops)
		switch porcupine.CheckOperationsTimeout(claimModel, ops, patience) {
		case porcupine.Illegal:
			v.violation("claims of a resource are in one order", "there is none for %s: %v", resource, said(ops))
		case porcupine.Unknown:
			v.Judged["resources whose claims were too many to put in order"]++
		}
	}
}

// onlyClaimed reports whether nothing else could have decided about the resource than
// its claims: every event that names it is a creation by the tenant whose claim had
// been answered 201 before it was published.
func (t *truth) onlyClaimed(resource string) bool {
	var by int64 = never
	tenant := ""
	for _, c := range t.byResource[resource] {
		if c.Entry.Type == ownership.Claimed {
			tenant, by = c.Entry.Tenant, c.by
		}
	}
	for _, c := range t.byResource[resource] {
		if c.Entry.Type != ownership.Claimed && (c.Entry.Type != ownership.Created || c.Entry.Tenant != tenant || c.from < by) {
			return false
		}
	}
	for _, c := range t.ledger {
		if c.Entry.From == tenant && tenant != "" && c.Entry.Type == ownership.Moved {
			return false
		}
	}
	return true
}

// said lists answers, for people.
func said(ops []porcupine.Operation) (all []string) {
	for _, op := range ops {
		r := op.Input.(Record)
		all = append(all, string(r.Type)+" "+r.Tenant+" "+at(r.At)+"–"+at(r.Until)+" "+status(r.Status))
	}
	return all
}
