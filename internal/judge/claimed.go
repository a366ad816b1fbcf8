package judge

import (
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// addClaims adds the claims that the archive has: when a claim was made, only the
// registry knows. One that nobody asked for is left to judgeEvents. Of a resource that
// was deleted the archive has no claims: the registry's log has them, and if it does not,
// because the last release made them, they were made at some time before their answer.
func (t *truth) addClaims(h *History) {
	of := func(r Record) Ownership { return Ownership{r.Tenant, r.Resource} }
	asked := firstBy(h.of(Claim), of, func(r Record) int64 { return r.At })
	answered := firstBy(h.of(Claim), of, func(r Record) int64 {
		if r.Status != created {
			return never
		}
		return r.until()
	})
	add := func(e events.Event) {
		name := claimName(e.Data.(archived.Claimed))
		by, ok := answered[name]
		if !ok {
			by = never
		}
		t.add(e, asked[name], by)
	}
	for _, e := range h.Archive {
		if c, ok := e.Data.(archived.Claimed); ok {
			t.claims[claimName(c)] = true
			add(e)
		}
	}
	logged := map[Ownership]bool{}
	for r := range h.of(Logged) {
		e, err := archived.Decode(r.Event, farFuture)
		if c, ok := e.Data.(archived.Claimed); err == nil && ok && t.deleted[claimName(c).Resource] && !logged[claimName(c)] {
			logged[claimName(c)] = true
			add(e)
		}
	}
	for r := range h.of(Claim) {
		name := of(r)
		refused := r.Status == conflict || r.Status == noContent
		if refused || !t.deleted[name.Resource] || logged[name] {
			continue
		}
		logged[name] = true
		c := ownership.Change{Resource: parseResource(name.Resource)}
		c.Entry = ownership.ClaimEntry(name.Tenant, c.Resource, time.Unix(0, asked[name]))
		t.addChange(&change{Change: c, from: asked[name], by: answered[name]})
	}
}
