//go:build proofs

package robustness

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/registry"
)

// brief is an ownership that is taken away soon. It is asked for often, before and
// after: who answers from memory has it in memory by then.
type brief struct {
	known
	made  int // when it was made, counted in events
	taken int // when it was taken away; 0 if it was not
}

// For how many events a brief ownership lasts, and is asked for afterwards.
const briefFor = 200

// remember chooses an ownership to be brief, some of many, of families that nobody leaves.
func (w *world) remember(k known) {
	if k.family < families && w.random.IntN(8) == 0 {
		w.brief = append(w.brief, brief{known: k, made: w.made})
	}
}

// take takes away a brief ownership whose time has come, by a deletion or a move.
func (w *world) take() (all []events.Event, ok bool) {
	for len(w.brief) > 0 && w.brief[0].taken > 0 && w.made-w.brief[0].taken > briefFor {
		w.brief = w.brief[1:]
	}
	for i := range w.brief {
		b := &w.brief[i]
		if b.taken > 0 || w.made-b.made < briefFor {
			continue
		}
		b.taken = w.made
		if w.random.IntN(2) == 0 {
			return w.deletions(b.Resource), true
		}
		to := b.creator
		for to == b.creator {
			to, _ = w.two(b.family)
		}
		move := w.event(events.TenantMoved{
			FromTenantID: b.creator, ToTenantID: to,
			Resources: []events.ResourceRef{{Kind: string(b.Kind), ID: b.ID}},
		})
		move.Time = time.Now().UTC() // after all others
		return []events.Event{move}, true
	}
	return nil, false
}

// someBrief returns a resource whose ownership is, or was, brief, and its first owner.
func (w *world) someBrief() (r registry.Resource, asking string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.brief) == 0 {
		return r, "", false
	}
	b := w.brief[w.random.IntN(len(w.brief))]
	return b.Resource, b.creator, true
}

// askers is how many clients ask for brief ownerships. They are many, since each waits
// for its answer: while a process reaches nothing, only what it has in memory is
// answered at once.
const askers = 16

// askBrief asks for brief ownerships until the context ends.
func (c *client) askBrief(ctx context.Context) {
	for ctx.Err() == nil {
		m := c.x.serving()
		if r, tenant, ok := c.x.world.someBrief(); ok && m != nil {
			c.check(m, tenant, r)
		}
		sleep(ctx, time.Duration(250+c.x.world.chance(500))*time.Millisecond)
	}
}
