package regstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The head is one document. Google plans with about one write a second to a
// document, in the long run (https://firebase.google.com/docs/firestore/quotas,
// "Maximum sustained write rate to a document"), and with 500 a second to a
// collection with sequential values in an indexed field, which positions are
// (https://cloud.google.com/firestore/quotas, soft limits). So a process writes
// the head so often, after a burst, and up to so many entries with it.
const (
	ledgerRate        = 1 // commits a second
	ledgerBurst       = 20
	mostLedgerChanges = 500
)

// ledgerLane takes the changes of the ledger that this process makes, from
// whichever calls, and commits them, one commit at a time. What comes while one
// is under way goes into the next, all together: so the head is written at the
// rate of commits, and not of moves. Nothing but changes of the ledger waits for
// it.
type ledgerLane struct {
	commit func(changes []*queuedChange) (again []*queuedChange, sent bool)
	pace   *rate.Limiter
	chance func() float64 // from 0 to less than 1

	mu      sync.Mutex
	waiting []*queuedChange
	running bool
	most    int           // changes in the next commit
	next    time.Time     // no commit before
	yield   time.Duration // how long to give way to other processes
}

// queuedChange is a change that waits for the lane.
type queuedChange struct {
	ownership.LedgerChange
	ctx    context.Context        // its end gives the change up, if it is not being committed
	answer chan ownership.Outcome // has room for it

	answered bool

	sent  *ownership.Outcome // what a commit that may have happened made of it
	lost  error              // that commit's end
	races int                // how many it has lost
}

func newLedgerLane(perSecond float64, chance func() float64, commit func([]*queuedChange) ([]*queuedChange, bool)) *ledgerLane {
	return &ledgerLane{
		commit: commit,
		chance: chance,
		pace:   rate.NewLimiter(rate.Limit(perSecond), ledgerBurst),
		most:   mostLedgerChanges,
	}
}

// change commits changes, in their order, and returns an outcome for each. Each
// waits for no longer than ctx.
func (l *ledgerLane) change(ctx context.Context, changes []ownership.LedgerChange) []ownership.Outcome {
	queued := make([]*queuedChange, len(changes))
	for i, c := range changes {
		queued[i] = &queuedChange{LedgerChange: c, ctx: ctx, answer: make(chan ownership.Outcome, 1)}
	}
	l.mu.Lock()
	l.waiting = append(l.waiting, queued...)
	start := !l.running
	l.running = true
	l.mu.Unlock()
	if start {
		go l.run()
	}
	outcomes := make([]ownership.Outcome, len(changes))
	for i, c := range queued {
		select {
		case outcomes[i] = <-c.answer:
		case <-ctx.Done():
			select {
			case outcomes[i] = <-c.answer:
			default:
				outcomes[i] = c.failed(ctx.Err())
			}
		}
	}
	return outcomes
}

// run commits until nothing waits.
func (l *ledgerLane) run() {
	for l.more() {
		time.Sleep(time.Until(l.next))
		changes := l.take()
		if len(changes) == 0 {
			continue
		}
		again, sent := l.attempt(changes)
		l.putBack(again)
		if sent {
			l.next = time.Now().Add(max(l.pace.Reserve().Delay(), l.giveWay(len(again) > 0)))
		}
	}
}

// attempt is commit. A panic ends the change whose defect it is, and nothing else:
// if it is not known which one of several that is, fewer are tried together.
func (l *ledgerLane) attempt(changes []*queuedChange) (again []*queuedChange, sent bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		again = slices.DeleteFunc(slices.Clone(changes), func(c *queuedChange) bool { return c.answered })
		if len(again) > 1 {
			l.halve(len(again))
			return
		}
		for _, c := range again {
			c.reply(c.failed(&ownership.PanicError{Value: p, Stack: debug.Stack()}))
		}
		again = nil
	}()
	return l.commit(changes)
}

// Bounds of how long a process gives way to others that write the head.
const leastGivingWay, mostGivingWay = 100 * time.Millisecond, 8 * time.Second

// giveWay returns how long to wait before the next commit, on average the time
// that it doubles with each race that is lost, and halves, no more, with each
// that is won: many processes share the head only if those that win wait, too.
func (l *ledgerLane) giveWay(lost bool) time.Duration {
	if lost {
		l.yield = min(max(2*l.yield, leastGivingWay), mostGivingWay)
	} else if l.yield /= 2; l.yield < leastGivingWay {
		l.yield = 0
	}
	return time.Duration((0.5 + l.chance()) * float64(l.yield))
}

// more reports whether anything waits; if not, the lane has come to rest.
func (l *ledgerLane) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = len(l.waiting) > 0
	return l.running
}

// take returns what goes into the next commit, the longest waiting first. Changes
// without a waiting caller are given up.
func (l *ledgerLane) take() (changes []*queuedChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := 0
	for len(l.waiting) > 0 && len(changes) < l.most {
		c := l.waiting[0]
		if err := c.ctx.Err(); err != nil {
			c.fail(err)
		} else if bytes += c.weight(); bytes > docdb.MaxBytes && len(changes) > 0 {
			break
		} else {
			changes = append(changes, c)
		}
		l.waiting = l.waiting[1:]
	}
	return changes
}

// putBack queues changes again, before those that came later.
func (l *ledgerLane) putBack(changes []*queuedChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(changes, l.waiting...)
}

// halve makes the next commits half as large as one that was refused as it was,
// so that a change which cannot be committed is alone in the end.
func (l *ledgerLane) halve(refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(1, refused/2)
}

// whole makes the next commits as large as may be.
func (l *ledgerLane) whole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = mostLedgerChanges
}

// weight is about how many bytes the change takes in a request, at most: its
// entry has two tenants, the tenants of its job, and a dozen field names.
func (c *queuedChange) weight() int {
	const entry = 2 << 10
	return entry + len(c.Event.Source) + len(c.Event.ID)
}

func (c *queuedChange) settle(o ownership.Outcome) {
	if c.sent != nil && o.Kind == ownership.Duplicate {
		o = *c.sent // it was our own commit, whose answer was lost
	}
	c.reply(o)
}

func (c *queuedChange) fail(err error) { c.reply(c.failed(err)) }

func (c *queuedChange) reply(o ownership.Outcome) {
	c.answered = true
	c.answer <- o
}

func (c *queuedChange) failed(err error) ownership.Outcome {
	var panicked *ownership.PanicError
	if !errors.Is(err, registry.ErrUnavailable) && !errors.As(err, &panicked) {
		err = unavailable("the ledger's lane", err)
	}
	return ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("change the ledger by event %s: %w", c.Event.ID, err)}
}
