package simulation

import (
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/quota"
)

// operator resets windows, and changes the policy.
func (w *throttleWorld) operator(p *process) {
	store, err := quotastore.New(w.gate(p), quotastore.Options{})
	if err != nil {
		w.fails("throttle: %w", err)
		return
	}
	for {
		w.sleep(p, time.Duration(p.random.IntN(20))*time.Second)
		reset := p.random.IntN(2) == 0
		switch {
		case w.isCalm():
		case reset && w.resets:
			key := limits.Key{Tenant: w.tenant, Action: w.actions[p.random.IntN(len(w.actions))]}
			if _, err := limits.Reset(p.ctx, store, key, "operator"); err == nil {
				w.met(Resets)
			}
		case !reset && !w.plan.without("changed policies"):
			w.changePolicy(p)
		}
	}
}

// changePolicy writes a policy's document.
func (w *throttleWorld) changePolicy(p *process) {
	scope := map[string]*docdb.Value{"tenant": docdb.Text(w.tenant)}
	if w.totals && p.random.IntN(2) == 0 {
		scope["action"] = docdb.Text(quota.TotalAction)
	}
	scope["limit"] = docdb.Integer(1 + p.random.Int64N(40))
	scope["window"] = docdb.Text((time.Duration(1+p.random.IntN(30)) * time.Second).String())
	_, err := w.db.Commit(p.ctx, docdb.Write{Name: w.db.Name(quotastore.PolicyCollection, fmt.Sprint("p", len(scope))), Fields: scope})
	if err == nil {
		w.met(PoliciesNew)
		w.notes("the policy is %d in %s", scope["limit"].GetIntegerValue(), scope["window"].GetStringValue())
	}
}
