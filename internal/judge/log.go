package judge

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// judgeLog: every claim that was answered 201, and every retraction and every move that a
// command reported, is in the registry's log; and the log has nothing that is not stored. The
// last release does not know of the log.
func (v *Verdict) judgeLog(h *History, t *truth) {
	if !h.has(Logged) {
		return // it has none
	}
	claims, retractions, moves := map[Ownership]bool{}, map[ownership.EventName]bool{}, map[ownership.EventName]bool{}
	for r := range h.of(Logged) {
		e, err := archived.Decode(r.Event, farFuture)
		if err != nil {
			v.violation("the log can be read", "%s: %v", r.Event, err)
			continue
		}
		v.Judged["events in the registry's log"]++
		switch data := e.Data.(type) {
		case archived.Claimed:
			name := claimName(data)
			claims[name] = true
			if !t.claims[name] && !t.deleted[name.Resource] {
				v.violation("the log has what is stored", "%s of %s is in the log, and not in the archive", name.Resource, name.Tenant)
			}
		case archived.Retracted:
			retractions[ownership.EventName{Source: data.EventSource, ID: data.EventID}] = true
		case events.TenantMoved:
			moves[ownership.EventName{Source: e.Source, ID: e.ID}] = true
		}
	}
	faults := faultsOf(h)
	for r := range h.of(Claim) {
		if r.Of != "" && r.Status == created && !claims[Ownership{r.Tenant, r.Resource}] && !faults.during(r, 0, LastRelease) {
			v.violation("every claim that is answered 201 is in the log", "%s of %s, by %s at %s", r.Resource, r.Tenant, r.Of, at(r.At))
		}
	}
	for r := range h.of(Operator) {
		name, done := ownership.EventName{Source: r.Source, ID: r.ID}, r.Until != 0 && r.Status == 0
		if done && r.Kind == "retract" && !retractions[name] {
			v.violation("every retraction is in the log", "source %q, id %q", r.Source, r.ID)
		}
		if done && r.Kind == "start" && !moves[name] {
			v.violation("every move of an operator is in the log", "source %q, id %q", r.Source, r.ID)
		}
	}
}

func claimName(c archived.Claimed) Ownership {
	return Ownership{c.TenantID, registry.Resource{Kind: registry.Kind(c.Resource.Kind), ID: c.Resource.ID}.String()}
}
