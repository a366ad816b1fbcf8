package verifier_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

var stalenessFor = flag.Duration("staleness.for", 6*time.Second, "how long the staleness test moves, checks and breaks")

// The bounds of the test: short, so that much happens within them.
const (
	troubleStaleness = time.Second
	troubleMaxAge    = 3 * time.Second
)

// TestNoAnswerIsStalerThanPromisedWhateverHappens moves resources and tenants,
// retracts, and sets documents plainly, while verifiers in three processes, each
// behind a link of its own, are asked and watched all the time, and their links
// are slow, cut, half open and dead, or their listeners alone are deaf, and the
// processes and the emulator are stopped and continued. No check that began later
// than a change's acknowledgement and the bound gets a yes from before it, nor
// does one ever get a yes for who never was the owner, and no watch goes on for
// longer.
func TestNoAnswerIsStalerThanPromisedWhateverHappens(t *testing.T) {
	trouble := newTrouble(t, troubleStaleness)
	for range 5 { // until there was something to see
		if trouble.run(*stalenessFor); t.Failed() || len(trouble.stale) > 0 && trouble.told > 10 {
			break
		}
	}
	trouble.report()
	require.Greater(t, trouble.moves, 30)
	require.NotEmpty(t, trouble.stale, "it would not have seen any")
	require.Greater(t, trouble.told, 10, "watches")
	require.Empty(t, trouble.violations)
}

func TestTheStalenessTestNoticesABoundThatIsNotKept(t *testing.T) {
	trouble := newTrouble(t, time.Hour)
	for range 10 {
		if trouble.run(3 * time.Second); t.Failed() || trouble.untold > 0 && len(trouble.violations) > trouble.untold {
			break
		}
	}
	trouble.report()
	require.NotZero(t, trouble.untold, "of watches")
	require.Greater(t, len(trouble.violations), trouble.untold, "and of checks")
}

// trouble is a registry, the processes that verify, and the truth about every
// owner, which this process keeps, by its own clock.
type trouble struct {
	*testing.T
	emulator *emulator.Emulator
	writer   *fsregistry.Store
	outside  *client.Client
	children []*child

	mu         sync.Mutex
	histories  map[registry.Resource]ownership.History
	ledger     *ownership.Ledger
	owned      map[registry.Resource][]span
	moves      int
	checks     int
	stops      int             // of processes
	told       int             // watches that were held, and closed
	untold     int             // violations that were watches
	stale      []time.Duration // of answers that were not up to date
	violations []string
}

const (
	troubleThreads = 30 // moved by events
	troublePlain   = 6  // written by plain sets
	troubleTenants = 6
)

// startStoppable starts an emulator that is going to be stopped and continued, so no
// other tests have it. One after the other, those that stop it share it; it ends with
// the process.
var startStoppable = sync.OnceValues(func() (*emulator.Emulators, error) {
	return emulator.Start(context.Background(), emulator.Options{NoPubSub: true})
})

// newTrouble starts processes whose verifiers promise a staleness.
func newTrouble(t *testing.T, staleness time.Duration) *trouble {
	emulatortest.Firestore(t) // skips if there is none
	emulators, err := startStoppable()
	require.NoError(t, err)
	x := &trouble{T: t, emulator: emulators.Firestore, histories: map[registry.Resource]ownership.History{}, owned: map[registry.Resource][]span{}}
	project := emulatortest.FirestoreAt(t, emulators.Firestore.Host)
	x.writer = x.open(project)
	x.outside, err = client.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)

	for i := range troubleThreads {
		tenant := x.tenant(i)
		x.change(ownership.Change{Resource: x.thread(i), Entry: ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: x.version()}})
	}
	for i := range troublePlain {
		x.set(i, "t_p0")
	}
	for i := range 3 {
		maxAge := verifier.Unbounded
		if i == 0 { // the one that is asked for plain sets
			maxAge = troubleMaxAge
		}
		x.children = append(x.children, startChild(t, project, staleness, maxAge))
	}
	return x
}

func (x *trouble) open(p emulatortest.Project) *fsregistry.Store {
	store, err := fsregistry.Open(x.Context(), fsregistry.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(x, err)
	x.Cleanup(func() { _ = store.Close() })
	return store
}

func (x *trouble) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(x.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { x.write(ctx) })
	for i, c := range x.children {
		running.Go(func() { x.breakLink(ctx, c) })
		running.Go(func() { x.stopChild(ctx, c) })
		for range 8 {
			running.Go(func() { x.ask(ctx, c, i == 0) })
			running.Go(func() { x.watch(ctx, c, i == 0) })
		}
	}
	running.Go(func() { x.stopEmulator(ctx) })
	running.Wait()
}

func (x *trouble) write(ctx context.Context) {
	for ctx.Err() == nil {
		switch n := rand.IntN(20); {
		case n == 0:
			from := rand.IntN(troubleTenants)
			x.change(ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, Version: x.version(),
				From: x.tenant(from), To: x.tenant(from + 1 + rand.IntN(troubleTenants-1))}})
		case n == 1:
			x.retract()
		case n < 5:
			x.set(rand.IntN(troublePlain), fmt.Sprint("t_p", rand.IntN(3)))
		default:
			r := x.thread(rand.IntN(troubleThreads))
			from := x.histories[r].Owner(x.ledger)
			x.change(ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Moved, Version: x.version(),
				From: from, To: x.tenant(rand.IntN(troubleTenants))}})
		}
		pause(ctx, time.Millisecond)
	}
}

// watch holds streams open until they are told, or for a while. A stream is open
// until the child has ended it and its word has arrived here, for which there is
// the grace. A child that is stopped can end none, and none is judged meanwhile.
func (x *trouble) watch(ctx context.Context, c *child, plainToo bool) {
	for ctx.Err() == nil {
		tenant, r := x.claim(plainToo)
		grace := 250 * time.Millisecond // until some goroutine, there and here, gets to it
		if r.Kind == registry.Canvas {
			grace += troubleStaleness / 2 // it is not looked all the time for what is older than MaxAge
		}
		holding, leave := context.WithTimeout(ctx, 5*time.Second)
		done, err := c.watch(holding, tenant, r)
		if err != nil && holding.Err() == nil {
			x.Errorf("no answer to a watch: %v", err)
			leave()
			return
		}
		for done != nil && holding.Err() == nil {
			at := time.Now()
			if closed(done) {
				x.mu.Lock()
				x.told++
				x.mu.Unlock()
				break
			}
			if !c.heldUp(at, grace) {
				x.judge(tenant, r, at, at, grace)
			}
			pause(holding, 20*time.Millisecond)
		}
		leave()
		pause(ctx, 10*time.Millisecond)
	}
}

// ask checks for tenants that own or owned what they ask for. The clock is read
// before the question is sent, and the check begins when it has arrived. So an
// answer that seems too stale is; and one may seem fresher than it is by no more
// than the way to the child, which is long only if the question waited for a
// child that was stopped. The next one, when the child goes on, does not wait.
func (x *trouble) ask(ctx context.Context, c *child, plainToo bool) {
	for ctx.Err() == nil {
		tenant, r := x.claim(plainToo)
		began := time.Now()
		yes, err := c.check(x.Context(), tenant, r) // who is stopped answers in the end
		if err != nil {
			x.Errorf("no answer to a check: %v", err)
			return
		}
		if yes {
			x.judge(tenant, r, began, time.Now(), 0)
		}
		pause(ctx, time.Duration(rand.IntN(8))*time.Millisecond)
	}
}

func (x *trouble) breakLink(ctx context.Context, c *child) {
	l := c.link
	deafen := func() { assert.NoError(x, c.deafen(x.Context())) }
	faults := []func(){
		func() { l.Delay(time.Duration(50+rand.IntN(600)) * time.Millisecond) },
		l.Cut, l.HalfOpen, l.Blackhole, l.Refuse, func() {},
		deafen, deafen,
	}
	for ctx.Err() == nil {
		faults[rand.IntN(len(faults))]()
		pause(ctx, time.Duration(200+rand.IntN(2500))*time.Millisecond)
		l.Restore()
		assert.NoError(x, c.undeafen(x.Context()))
		pause(ctx, time.Duration(rand.IntN(1500))*time.Millisecond)
	}
}

// stopChild stops a process where it stands. What it had found out before must
// not be its answer to who asks when it goes on.
func (x *trouble) stopChild(ctx context.Context, c *child) {
	for {
		pause(ctx, time.Duration(1000+rand.IntN(4000))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		c.stop(ctx, time.Duration(500+rand.IntN(2000))*time.Millisecond)
		x.mu.Lock()
		x.stops++
		x.mu.Unlock()
	}
}

func (x *trouble) stopEmulator(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 4*time.Second)
		require.NoError(x, x.emulator.Pause())
		pause(ctx, time.Duration(500+rand.IntN(2000))*time.Millisecond)
		require.NoError(x, x.emulator.Resume())
	}
}

func (x *trouble) report() {
	slices.Sort(x.stale)
	at := func(q float64) time.Duration {
		if len(x.stale) == 0 {
			return 0
		}
		return x.stale[int(q*float64(len(x.stale)-1))]
	}
	x.Logf("%d processes, stopped %d times, %d writes, %d checks, %d watches told, %d times not, %d stale answers within the bounds of %v and %v: p50 %v, p90 %v, p99 %v, most %v; %d violations",
		len(x.children), x.stops, x.moves, x.checks, x.told, x.untold, len(x.stale), troubleStaleness, troubleMaxAge, at(.5), at(.9), at(.99), at(1), len(x.violations))
	for _, v := range x.violations[:min(5, len(x.violations))] {
		x.Log(v)
	}
}
