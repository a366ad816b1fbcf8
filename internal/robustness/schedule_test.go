//go:build proofs

package robustness

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// trouble is a kind of fault of one process. Each lasts for as long as it is told to,
// and has left nothing behind when it returns. It returns false if it came to nothing.
type trouble struct {
	kind string
	do   func(ctx context.Context, m *machine, lasts time.Duration) bool
}

// Kinds of faults beside those that excuse something (package judge).
const (
	linkCut      = "link cut"
	linkHalfOpen = "link half open"
	linkSilent   = "link silent"
	linkSlow     = "link slow"
	callsFail    = "calls fail before they are carried out"
	answersLost  = "answers lost of calls that are carried out"
	oneKind      = "one kind of calls fails"
	callsSlow    = "calls slow"
	killedAmid   = "worker killed while its calls fail"
	streamsStall = "streams stalled"
)

var troubles = []trouble{
	{judge.Killed, func(ctx context.Context, m *machine, _ time.Duration) bool {
		m.kill()
		sleep(ctx, 500*time.Millisecond)
		m.start()
		return true
	}},
	{judge.Drained, func(_ context.Context, m *machine, _ time.Duration) bool {
		m.x.history.record(m.drain())
		m.start()
		return true
	}},
	{judge.Paused, func(ctx context.Context, m *machine, lasts time.Duration) bool {
		m.signal(syscall.SIGSTOP, false)
		sleep(ctx, lasts)
		m.signal(syscall.SIGCONT, false)
		return true
	}},
	{judge.CutOff, onLinks((*wire.Link).Refuse)},
	{linkCut, onLinks((*wire.Link).Cut)},
	{linkHalfOpen, onLinks((*wire.Link).HalfOpen)},
	{linkSilent, onLinks((*wire.Link).Blackhole)},
	{linkSlow, onLinks(func(l *wire.Link) { l.Delay(300 * time.Millisecond) })},
	{callsFail, disturbed(wire.Disturbance{Share: 0.3, Code: codes.Unavailable})},
	{answersLost, disturbed(wire.Disturbance{Share: 0.3, Code: codes.Unavailable, Late: true})},
	{killedAmid, func(ctx context.Context, m *machine, lasts time.Duration) bool {
		if !strings.HasPrefix(m.name, "worker") {
			return false // it publishes little, and acknowledges nothing
		}
		lasts = max(lasts, 4*time.Second) // so that it has something to publish
		m.faults[0].Disturb(uint64(lasts), wire.Disturbance{Share: 0.3, Code: codes.Unavailable, Late: true})
		m.pubsub().Disturb(0, wire.Disturbance{Method: "Publish", Share: 1, Code: codes.Unavailable})
		sleep(ctx, lasts)
		published := m.pubsub().Disturbed() > 0
		r := judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: judge.Killed}
		m.kill()
		for _, f := range m.faults {
			f.Disturb(0)
		}
		m.start()
		r.Until = now()
		m.x.history.record(r)
		return published
	}},
	{callsSlow, disturbed(wire.Disturbance{Share: 0.3, Delay: 3 * time.Second})},
	{streamsStall, disturbed(wire.Disturbance{Method: "StreamingPull", Stall: true}, wire.Disturbance{Method: "Listen", Stall: true})},
	{oneKind, func(ctx context.Context, m *machine, lasts time.Duration) bool {
		methods := []string{"Commit", "BatchGetDocuments", "RunQuery"}
		if strings.HasPrefix(m.name, "worker") {
			methods = append(methods, "BatchWrite", "Acknowledge", "ModifyAckDeadline", "Publish")
		}
		return disturbed(wire.Disturbance{Method: methods[int(lasts.Milliseconds())%len(methods)], Share: 1, Code: codes.ResourceExhausted})(ctx, m, lasts)
	}},
}

func onLinks(begin func(*wire.Link)) func(context.Context, *machine, time.Duration) bool {
	return func(ctx context.Context, m *machine, lasts time.Duration) bool {
		for _, l := range m.links {
			begin(l)
		}
		sleep(ctx, lasts)
		for _, l := range m.links {
			l.Restore()
		}
		return true
	}
}

func disturbed(all ...wire.Disturbance) func(context.Context, *machine, time.Duration) bool {
	return func(ctx context.Context, m *machine, lasts time.Duration) bool {
		for _, f := range m.faults {
			f.Disturb(uint64(lasts), all...)
		}
		sleep(ctx, lasts)
		befell := 0
		for _, f := range m.faults {
			befell += f.Disturbed()
			f.Disturb(0)
		}
		return befell > 0
	}
}

// planned is one fault of the schedule.
type planned struct {
	trouble
	machine     int
	after, last time.Duration // after the one before in its lane
	must        bool          // its kind has not occurred yet
}

// lanes is how many faults there are at once.
const lanes = 2

// schedule follows from the seed alone: which fault befalls which process, after how
// long, and for how long. The first faults are of all kinds, in any order.
func schedule(seed uint64, machines int, duration time.Duration) (all [lanes][]planned) {
	random := rand.New(rand.NewPCG(seed, 2))
	longest := min(2*time.Minute, duration/10)
	kinds := random.Perm(len(troubles))
	for lane := range all {
		var at time.Duration
		for at < duration || len(kinds) > 0 {
			kind, must := random.IntN(len(troubles)), len(kinds) > 0
			if must {
				kind, kinds = kinds[0], kinds[1:]
			}
			p := planned{
				must: must, trouble: troubles[kind], machine: random.IntN(machines),
				after: time.Duration(random.Int64N(int64(2 * time.Second))),
				last:  500*time.Millisecond + time.Duration(random.ExpFloat64()*float64(longest)/4),
			}
			p.last = min(p.last, longest)
			if must {
				p.last = max(p.last, 1500*time.Millisecond) // so that something is under way
			}
			at += p.after + p.last
			all[lane] = append(all[lane], p)
		}
	}
	return all
}

// disturb carries out the schedule, until the context ends.
func (x *installation) disturb(ctx context.Context, seed uint64, duration time.Duration) {
	var running sync.WaitGroup
	running.Go(func() { x.outages(ctx, min(20*time.Second, duration/12)) })
	running.Go(func() { x.rolls(ctx, x.last, duration/10) })
	running.Go(func() { x.fill(ctx, duration/5) })
	for _, s := range x.transports {
		running.Go(func() { s.trouble(ctx, min(20*time.Second, duration/12)) })
	}
	for _, lane := range schedule(seed, len(x.machines), duration) {
		running.Go(func() {
			for _, p := range lane {
				if sleep(ctx, p.after); ctx.Err() == nil {
					x.befall(ctx, p)
				} else if p.must { // though it is late
					x.befall(context.Background(), p)
				}
			}
		})
	}
	running.Wait()
}

// befall lets a fault befall its process; if it came to nothing, and must not, another,
// and all of them a few times: while Firestore is away, say, nothing is published.
func (x *installation) befall(ctx context.Context, p planned) {
	if p.must { // to its end
		ctx = context.Background()
	}
	for i := range 4 * len(x.machines) {
		m := x.machines[(p.machine+i)%len(x.machines)]
		if x.befallOne(ctx, p, m) || !p.must {
			return
		}
	}
}

func (x *installation) befallOne(ctx context.Context, p planned, m *machine) bool {
	m.taken.Lock()
	defer m.taken.Unlock()
	r := judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: p.kind}
	befell := p.do(ctx, m, p.last)
	if befell && p.kind != judge.Drained { // which ends before the next start
		r.Until = now()
		x.history.record(r)
	}
	return befell
}
