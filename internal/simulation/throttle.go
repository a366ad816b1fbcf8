package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/quota"
)

// throttleWorld is transports that share a tenant's windows.
type throttleWorld struct {
	*simulation
	contents *rand.Rand
	tenant   string
	actions  []string
	policies []quota.Policy
	resets   bool // an operator resets windows
	totals   bool // a policy bounds all actions together
	crowded  bool // more processes than take turns, and units for parts
	windows  windows
	began    int // requests
}

// throttleProcess is what a transport has.
type throttleProcess struct {
	holds   int64  // units that it has reserved, and neither spent nor released, as far as it is seen
	last    string // the kind of its last write
	asked   bool   // the store, by a request that is under way
	serving bool   // it has been let go on since there was no more trouble
}

func newThrottleWorld(s *simulation) *throttleWorld {
	w := &throttleWorld{
		simulation: s,
		contents:   rand.New(rand.NewPCG(s.plan.Seed, 6)),
		tenant:     "t_a",
		windows:    windows{},
	}
	w.actions = []string{"chat_send", "upload"}[:1+w.contents.IntN(2)]
	w.policies = []quota.Policy{w.makePolicy()}
	switch w.contents.IntN(3) {
	case 0:
		w.resets = !s.plan.without("resets")
	case 1:
		total := w.makePolicy()
		total.Action = quota.TotalAction
		w.policies, w.totals = append(w.policies, total), true
	}
	if w.contents.IntN(6) == 0 { // so many and so much that the window is parted
		w.crowded = true
		w.policies[0] = quota.Policy{Limit: 128 + w.contents.Int64N(200), Window: time.Duration(30+w.contents.IntN(90)) * time.Second}
	}
	return w
}

func (w *throttleWorld) makePolicy() quota.Policy {
	return quota.Policy{
		Limit:  []int64{1, 5, 30, 200}[w.contents.IntN(4)] + w.contents.Int64N(5),
		Window: time.Duration(1+w.contents.IntN([]int{30, 120}[w.contents.IntN(2)])) * time.Second,
	}
}

func (w *throttleWorld) parts() []string { return []string{"resets", "changed policies"} }

func (w *throttleWorld) events() (all []string) {
	for _, p := range w.policies {
		all = append(all, fmt.Sprintf("policy %s: %d in %v", limits.Policy(p).Scope(), p.Limit, p.Window))
	}
	return append(all, fmt.Sprintf("%d requests of %s for %v", w.began, w.tenant, w.actions))
}

func (w *throttleWorld) start() error {
	transports := 2 + w.contents.IntN(3)
	if w.crowded {
		transports += 5
	}
	for range transports {
		w.add("transport", w.transport)
	}
	w.add("operator", w.operator)
	return nil
}

// transport asks, more or less often, with up to three requests at once. Now and
// then it drains, and starts anew.
func (w *throttleWorld) transport(p *process) {
	for {
		store, err := quotastore.New(w.gate(p), quotastore.Options{})
		if err != nil {
			w.fails("throttle: %w", err)
			return
		}
		l, err := quota.New(store, quota.Options{Policies: w.policies, Seed: p.random.Uint64() | 1})
		if err != nil {
			w.fails("throttle: %w", err)
			return
		}
		context.AfterFunc(p.ctx, func() { _ = l.Close(p.ctx) })
		for range 2 + p.random.IntN(40) {
			w.sleep(p, time.Duration(p.random.IntN([]int{3, 3, 300, 300, 10_000, 40_000}[p.random.IntN(6)]))*time.Millisecond)
			w.crowd(p, l)
		}
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		if err := l.Close(ctx); err == nil {
			w.met(Drained)
		}
		cancel()
		w.step(p, "drained")
		w.mu.Lock()
		p.holds = 0
		w.mu.Unlock()
	}
}

// crowd is one request, or some at once.
func (w *throttleWorld) crowd(p *process, l *quota.Limiter) {
	more := p.random.IntN(3)
	answered := make(chan struct{}, more)
	for i := range more {
		random := rand.New(rand.NewPCG(p.random.Uint64(), uint64(i)))
		go func() {
			defer func() {
				if r := recover(); r != nil && r != (killed{}) {
					panic(r)
				}
				answered <- struct{}{}
			}()
			w.step(p, fmt.Sprint("ask beside ", i))
			w.ask(p, l, random)
		}()
	}
	w.step(p, "ask")
	w.ask(p, l, p.random)
	for range more {
		<-answered
	}
}

// ask makes a request, and holds the answer against the windows.
func (w *throttleWorld) ask(p *process, l *quota.Limiter, random *rand.Rand) {
	key := limits.Key{Tenant: w.tenant, Action: w.actions[random.IntN(len(w.actions))]}
	n := 1
	if random.IntN(4) == 0 {
		n += random.IntN(3)
	}
	w.mu.Lock()
	w.began++
	p.asked = false
	w.mu.Unlock()
	asked := w.now()
	d, err := l.AllowN(p.ctx, key.Tenant, key.Action, n)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
	case errors.Is(err, quota.ErrUnavailable):
		w.trouble[Unavailable]++
	case errors.Is(err, quota.ErrInvalid): // more than a window has
	case err != nil:
		w.failsLocked("request of %s: %w", key, err)
	case !d.Allowed:
		w.trouble[Refused]++
		if w.totals && !d.Total {
			w.trouble[TotalRefused]++
		}
		p.serving = p.serving || w.calm && d.ResetAfter > 0
	default:
		w.trouble[Admitted]++
		if !p.asked {
			w.trouble[FromMemory]++
		}
		p.holds -= int64(n)
		p.serving = p.serving || w.calm
		w.admitLocked(key, int64(n), d, asked)
	}
}

// admitLocked counts units that a request was given: in the window that the answer
// names; and, of a tenant with a total, in the other one as well, unless that has
// ended since the request began.
func (w *throttleWorld) admitLocked(key limits.Key, n int64, d quota.Decision, asked time.Time) {
	named, other := key, limits.Key{Tenant: key.Tenant, Action: quota.TotalAction}
	if d.Total {
		named, other = other, key
	}
	err := w.windows.admit(named, d.Window, n)
	if !d.Total && err == nil { // of a total's units others are taken after, and take time
		err = w.windows.lasts(named, d.Window, w.now())
	}
	if id, ok := w.windows.only(other, asked); ok && w.totals && err == nil {
		err = w.windows.admit(other, id, n)
	}
	if err != nil {
		w.failsLocked("%w", err)
	}
}

// call implements world.
func (w *throttleWorld) call(p *process, _ *docdbtest.Call, do func() error) error {
	w.mu.Lock()
	p.asked = true
	w.mu.Unlock()
	return do()
}

// wrote implements world: it takes note of windows, and of who holds how much.
func (w *throttleWorld) wrote(p *process, c *docdbtest.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, write := range c.Writes {
		if path.Dir(write.Name) != quotastore.Collection {
			continue
		}
		name := path.Base(write.Name)
		if strings.Contains(name, ".") { // a part: its units are in the window's count
			w.trouble[PartWritten]++
			continue
		}
		key, err := limits.ParseDocumentID(name)
		if err != nil {
			w.failsLocked("window: %w", err)
			continue
		}
		change, err := w.windows.store(key, stored(write.Fields))
		if err != nil {
			w.failsLocked("%w", err)
		}
		switch p.holds += change.units; {
		case change.units < 0:
			w.trouble[GaveBack]++
			p.last = AmbiguousGive
		case change.units > 0:
			p.last = AmbiguousTake
		}
		if change.rolled {
			w.trouble[Rolled]++
			p.holds = change.units
		}
	}
}

// mildness implements world: a process that is killed too often never has a block
// to release, and windows are short.
func (w *throttleWorld) mildness() mildness { return mildness{kill: 200, stop: 4000} }

// lost implements world.
func (w *throttleWorld) lost(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.last != "" {
		w.trouble[p.last]++
	}
}

// kills implements world.
func (w *throttleWorld) kills(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.role == "transport" && p.holds > 0 {
		w.trouble[Stranded]++
	}
}

// done implements world: every transport has had an answer.
func (w *throttleWorld) done() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.processes {
		if p != nil && p.role == "transport" && !p.serving {
			return false
		}
	}
	return true
}

// check implements world. All is held against the rules as it happens.
func (w *throttleWorld) check() error { return w.fault }
