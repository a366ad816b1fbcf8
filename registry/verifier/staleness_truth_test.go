package verifier_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// span is a time for which a tenant may have owned a resource: from before
// the write was sent that gave it, until the one was acknowledged that took it.
type span struct {
	tenant      string
	from, until time.Time // until is zero if it lasts
}

func (x *trouble) thread(i int) registry.Resource { return thread(fmt.Sprint("th_", i)) }
func (x *trouble) plain(i int) registry.Resource {
	return registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint("cv_", i)}
}
func (x *trouble) tenant(i int) string { return fmt.Sprint("t_", i%troubleTenants) }

var versions int

func (x *trouble) version() ownership.Version {
	versions++
	return ownership.Version{Time: time.Now(), Source: "//trouble", ID: fmt.Sprint(versions)}
}

// change applies one change, until it is acknowledged, and keeps the truth.
func (x *trouble) change(c ownership.Change) {
	x.begin(func(l *ownership.Ledger) *ownership.Ledger {
		if c.Resource != (registry.Resource{}) {
			x.histories[c.Resource], _ = x.histories[c.Resource].Merge(c.Entry)
			return l
		}
		e, _, _ := ownership.LedgerEntry{}.Merge(c.Entry, false)
		return l.With(l.Position()+1, []ownership.LedgerEntry{e})
	}, func(ctx context.Context) bool {
		return x.writer.Apply(ctx, []ownership.Change{c})[0].Kind != ownership.Failed
	})
}

// retract takes the latest move of a tenant back.
func (x *trouble) retract() {
	var last ownership.Move
	for m := range x.ledger.Counting() {
		if m.Version.Compare(last.Version) > 0 {
			last = m
		}
	}
	if last.ID == "" {
		return
	}
	retraction := ownership.Retraction(ownership.Version{Time: time.Now(), Source: last.Source, ID: last.ID}, "", "")
	x.begin(func(l *ownership.Ledger) *ownership.Ledger {
		e, _, _ := ownership.LedgerEntry{Version: last.Version, From: last.From, To: last.To}.Merge(retraction.Entry, true)
		return l.With(l.Position()+1, []ownership.LedgerEntry{e})
	}, func(ctx context.Context) bool {
		return x.writer.Apply(ctx, []ownership.Change{retraction})[0].Kind != ownership.Failed
	})
}

// begin does one write. The new owners may be seen from before it is sent, the
// old ones until it is acknowledged.
func (x *trouble) begin(apply func(*ownership.Ledger) *ownership.Ledger, write func(context.Context) bool) {
	x.mu.Lock()
	x.ledger = apply(x.ledger)
	sent := time.Now()
	lost := map[registry.Resource]int{}
	for r, h := range x.histories {
		owner, spans := h.Owner(x.ledger), x.owned[r]
		if len(spans) > 0 && spans[len(spans)-1].tenant == owner {
			continue
		}
		lost[r] = len(spans) - 1
		x.owned[r] = append(spans, span{tenant: owner, from: sent})
	}
	x.moves++
	x.mu.Unlock()
	x.persist(write)
	x.mu.Lock()
	defer x.mu.Unlock()
	for r, i := range lost {
		if i >= 0 {
			x.owned[r][i].until = time.Now()
		}
	}
}

func (x *trouble) persist(write func(context.Context) bool) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ok := write(ctx)
		cancel()
		if ok {
			return
		}
	}
}

// set writes a document as a program does that knows nothing of ours.
func (x *trouble) set(i int, tenant string) {
	r := x.plain(i)
	x.mu.Lock()
	spans := x.owned[r]
	x.owned[r] = append(spans, span{tenant: tenant, from: time.Now()})
	x.mu.Unlock()
	x.persist(func(ctx context.Context) bool {
		_, err := x.outside.Collection("realtime_registry").Doc(r.DocumentID()).Set(ctx, map[string]any{"tenant_id": tenant})
		return err == nil
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(spans) > 0 {
		x.owned[r][len(spans)-1].until = time.Now()
	}
}

// judge looks at a yes: how long before the check began had the tenant lost the
// resource, at the latest? A watch that is open is a yes at that moment, with
// some grace.
func (x *trouble) judge(tenant string, r registry.Resource, began, ended time.Time, grace time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	bound := troubleStaleness + grace
	if r.Kind == registry.Canvas {
		bound = troubleMaxAge + grace
	}
	stale, was := time.Duration(0), false
	for _, o := range x.owned[r] {
		if o.tenant != tenant || o.from.After(ended) {
			continue
		}
		late := time.Duration(0)
		if !o.until.IsZero() {
			late = max(0, began.Sub(o.until))
		}
		if !was || late < stale {
			stale, was = late, true
		}
	}
	switch {
	case !was:
		x.violations = append(x.violations, fmt.Sprintf("%s never owned %s", tenant, r))
	case stale > bound:
		x.violations = append(x.violations, fmt.Sprintf("%s had lost %s %v before", tenant, r, stale))
		if grace > 0 {
			x.untold++
		}
	case stale > 0 && grace == 0:
		x.stale = append(x.stale, stale)
	}
}

// claim is a resource, and a tenant that owns or owned it.
func (x *trouble) claim(plainToo bool) (string, registry.Resource) {
	r := x.thread(rand.IntN(troubleThreads))
	if plainToo && rand.IntN(2) == 0 {
		r = x.plain(rand.IntN(troublePlain))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	spans := x.owned[r]
	x.checks++
	return spans[len(spans)-1-rand.IntN(min(3, len(spans)))].tenant, r
}
