package python

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

var stalenessFor = flag.Duration("staleness.for", 8*time.Second, "how long the staleness test moves, streams and breaks")

const (
	maxStaleness = time.Second
	patience     = 2 * time.Second

	// bound is what README.md says of a guard that nothing answers, and a quarter of
	// a second in which a process gets to it.
	bound = 2*maxStaleness + patience + 250*time.Millisecond

	staleThreads = 20
	staleTenants = 4
)

// TestNoStreamOfTheGuardIsStalerThanPromisedWhateverHappens moves threads, while a
// uvicorn with the guard streams them, and its link to a real `serve` is delayed, cut,
// half open, silent and refused, and its process is stopped and continued. No message
// gets out to a tenant that has lost the thread for longer than the bound.
func TestNoStreamOfTheGuardIsStalerThanPromisedWhateverHappens(t *testing.T) {
	t.Parallel()
	x := newStale(t)
	for range 4 { // until there was something to see
		x.run(*stalenessFor)
		if x.ended > 20 && x.stops > 1 {
			break
		}
	}
	t.Logf("%d moves, %d messages, %d streams ended, %d stops, %d faults; the stalest message was %v old, the bound is %v",
		x.moves, x.messages, x.ended, x.stops, x.faults, x.stalest, bound)
	require.Empty(t, x.violations)
	require.Greater(t, x.ended, 20)
	require.NotZero(t, x.stalest, "it would not have seen any")
}

// A guard that forgets ages goes on while nothing answers.
func TestTheStalenessTestNoticesThatAgesAreOmitted(t *testing.T) {
	t.Parallel()
	x := newStale(t, "--omit")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	streaming := make(chan struct{})
	var once sync.Once
	var running sync.WaitGroup
	running.Go(func() {
		x.stream(ctx, 0, func() { once.Do(func() { close(streaming) }) })
	})
	<-streaming
	x.link.Blackhole()
	x.move(0)
	require.Eventually(t, func() bool { x.mu.Lock(); defer x.mu.Unlock(); return len(x.violations) > 0 }, soon, 50*time.Millisecond)
	cancel()
	running.Wait()
}

// stale is a registry, a transport in Python behind a link, and the truth about every
// owner, by this machine's clock.
type stale struct {
	*installed
	link *wire.Link

	mu                            sync.Mutex
	owned                         [staleThreads][]span
	moves, messages, ended, stops int
	faults                        int
	stalest                       time.Duration
	violations                    []string
}

// span is a time for which a tenant may have owned a thread: from before the write was
// sent that gave it, until the one was acknowledged that took it.
type span struct {
	tenant      string
	from, until time.Time // until is zero if it lasts
}

func newStale(t *testing.T, args ...string) *stale {
	emulatortest.Python(t, needs)
	x := &stale{installed: newInstalled(t, "--max-staleness", maxStaleness.String())}
	for i := range staleThreads {
		x.change(i, tenant(i), ownership.Entry{Type: ownership.Created, Tenant: tenant(i)})
	}
	var err error
	x.link, err = wire.NewLink(strings.TrimPrefix(x.registry, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = x.link.Close() })
	x.start("http://"+x.link.Addr(), append([]string{"tests/stale_transport.py", fmt.Sprint(patience.Seconds())}, args...)...)
	return x
}

func (x *stale) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(x.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			x.move(rand.IntN(staleThreads))
			pause(ctx, 30*time.Millisecond)
		}
	})
	for i := range staleThreads {
		running.Go(func() {
			for ctx.Err() == nil {
				x.stream(ctx, i, func() {})
				pause(ctx, 20*time.Millisecond)
			}
		})
	}
	running.Go(func() { x.breakLink(ctx) })
	running.Go(func() { x.stopTransport(ctx) })
	running.Wait()
}

func tenant(i int) string { return fmt.Sprint("t_", i%staleTenants) }

// move gives a thread to another tenant.
func (x *stale) move(thread int) {
	x.mu.Lock()
	from := x.owned[thread][len(x.owned[thread])-1].tenant
	x.moves++
	x.mu.Unlock()
	to := from
	for to == from {
		to = tenant(rand.IntN(staleTenants))
	}
	x.change(thread, to, ownership.Entry{Type: ownership.Moved, From: from, To: to})
}

// change does one write, until it is acknowledged. The new owner may be seen from
// before it is sent, the old one until it is acknowledged.
func (x *stale) change(thread int, to string, e ownership.Entry) {
	x.mu.Lock()
	e.Version = x.version()
	x.owned[thread] = append(x.owned[thread], span{tenant: to, from: time.Now()})
	x.mu.Unlock()
	r := registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th_", thread)}
	x.apply(ownership.Change{Resource: r, Entry: e})
	x.mu.Lock()
	defer x.mu.Unlock()
	if spans := x.owned[thread]; len(spans) > 1 {
		spans[len(spans)-2].until = time.Now()
	}
}

// stream follows one stream of the owner's to its end, and judges each message by the
// time that it bears.
func (x *stale) stream(ctx context.Context, thread int, began func()) {
	x.mu.Lock()
	owner := x.owned[thread][len(x.owned[thread])-1].tenant
	x.mu.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/th_%d", x.url, thread), nil)
	require.NoError(x, err)
	r.Header.Set("X-Tenant", owner)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return // the test's time is over
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return
	}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if nanos, err := strconv.ParseInt(text, 10, 64); ok && err == nil {
			x.judge(owner, thread, time.Unix(0, nanos))
			began()
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended++
}

func (x *stale) judge(owner string, thread int, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.messages++
	age := time.Duration(1<<63 - 1)
	for _, s := range x.owned[thread] {
		switch {
		case s.tenant != owner || s.from.After(at):
		case s.until.IsZero():
			age = 0
		default:
			age = min(age, max(0, at.Sub(s.until)))
		}
	}
	if age > bound {
		x.violations = append(x.violations, fmt.Sprintf("th_%d went on for %s, who had lost it %v before", thread, owner, age))
	}
	x.stalest = max(x.stalest, age)
}

func (x *stale) breakLink(ctx context.Context) {
	faults := []func(){
		func() { x.link.Delay(time.Duration(50+rand.IntN(600)) * time.Millisecond) },
		x.link.Cut, x.link.HalfOpen, x.link.Blackhole, x.link.Refuse,
	}
	for ctx.Err() == nil {
		pause(ctx, time.Duration(rand.IntN(1500))*time.Millisecond)
		faults[rand.IntN(len(faults))]()
		x.mu.Lock()
		x.faults++
		x.mu.Unlock()
		pause(ctx, time.Duration(200+rand.IntN(6000))*time.Millisecond)
		x.link.Restore()
	}
}

// stopTransport stops the process where it stands. What it had heard before must not
// be what it goes by when it goes on.
func (x *stale) stopTransport(ctx context.Context) {
	for {
		pause(ctx, time.Duration(500+rand.IntN(3000))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		x.transport.Signal(syscall.SIGSTOP)
		pause(ctx, time.Duration(200+rand.IntN(5000))*time.Millisecond)
		x.transport.Signal(syscall.SIGCONT)
		x.mu.Lock()
		x.stops++
		x.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
