package verifier_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/firestore"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

var stalenessFor = flag.Duration("staleness.for", 6*time.Second, "how long the staleness test moves, checks and breaks")

// The bounds of the test: short, so that much happens within them.
const (
	troubleStaleness = time.Second
	troubleMaxAge    = 3 * time.Second
)

// TestNoAnswerIsStalerThanPromisedWhateverHappens moves resources and tenants,
// retracts, and sets documents plainly, while three verifiers, each behind a
// link of its own, are asked and watched all the time, and their links are slow,
// cut, half open and dead, or their listeners alone are deaf, and the emulator
// stops. No check that began later than a change's acknowledgement and the bound
// gets a yes from before it, nor does one ever get a yes for who never was the
// owner, and no watch goes on for longer.
func TestNoAnswerIsStalerThanPromisedWhateverHappens(t *testing.T) {
	trouble := newTrouble(t)
	for range 5 { // until there was something to see
		if trouble.run(*stalenessFor); len(trouble.stale) > 0 && trouble.told > 10 {
			break
		}
	}
	trouble.report()
	require.Greater(t, trouble.moves, 30)
	require.NotEmpty(t, trouble.stale, "it would not have seen any")
	require.Greater(t, trouble.told, 10, "watches")
	require.Empty(t, trouble.violations)
}

func TestTheStalenessTestNoticesThatCertificationIsOmitted(t *testing.T) {
	trouble := newTrouble(t)
	for _, v := range trouble.verifiers {
		v.OmitCertification()
	}
	for range 10 {
		if trouble.run(3 * time.Second); trouble.untold > 0 && len(trouble.violations) > trouble.untold {
			break
		}
	}
	trouble.report()
	require.NotZero(t, trouble.untold, "of watches")
	require.Greater(t, len(trouble.violations), trouble.untold, "and of checks")
}

// trouble is a registry, its verifiers, and the truth about every owner.
type trouble struct {
	*testing.T
	emulator  *emulator.Emulator
	writer    *firestore.Store
	outside   *client.Client
	links     []*wire.Link
	listeners []*listener
	verifiers []*verifier.Verifier

	mu         sync.Mutex
	histories  map[registry.Resource]registry.History
	ledger     *registry.Ledger
	owned      map[registry.Resource][]ownership
	moves      int
	checks     int
	told       int             // watches that were held, and closed
	untold     int             // violations that were watches
	stale      []time.Duration // of answers that were not up to date
	violations []string
}

// ownership is a time for which a tenant may have owned a resource: from before
// the write was sent that gave it, until the one was acknowledged that took it.
type ownership struct {
	tenant      string
	from, until time.Time // until is zero where it lasts
}

const (
	troubleThreads = 30 // moved by events
	troublePlain   = 6  // written by plain sets
	troubleTenants = 6
)

func newTrouble(t *testing.T) *trouble {
	// An emulator of its own: it is going to be stopped.
	project := emulatortest.Firestore(t) // skips where there is none
	emulators, err := emulator.Start(t.Context(), emulator.Options{NoPubSub: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, emulators.Stop()) })
	x := &trouble{T: t, emulator: emulators.Firestore, histories: map[registry.Resource]registry.History{}, owned: map[registry.Resource][]ownership{}}
	project.FirestoreHost = emulators.Firestore.Host
	x.writer = x.open(project)
	x.outside, err = client.NewClient(t.Context(), project.ID, project.FirestoreOptions()...)
	require.NoError(t, err)

	for i := range troubleThreads {
		tenant := x.tenant(i)
		x.change(registry.Change{Resource: x.thread(i), Entry: registry.Entry{Type: registry.Created, Tenant: tenant, Version: x.version()}})
	}
	for i := range troublePlain {
		x.set(i, "t_p0")
	}
	for i := range 3 {
		link, err := wire.NewLink(emulators.Firestore.Host)
		require.NoError(t, err)
		t.Cleanup(func() { _ = link.Close() })
		x.links = append(x.links, link)
		behind := project
		behind.FirestoreHost = link.Addr()
		maxAge := verifier.Unbounded
		if i == 0 { // the one that is asked for plain sets
			maxAge = troubleMaxAge
		}
		heard := &listener{Store: x.open(behind)}
		x.listeners = append(x.listeners, heard)
		v := newVerifier(t, heard, verifier.Options{
			MaxStaleness: troubleStaleness, MaxAge: maxAge, Timeout: 2 * time.Second, MaxReads: 64,
		})
		x.verifiers = append(x.verifiers, v)
	}
	return x
}

// listener is a store whose notices get lost, or are late, while it is deaf.
// Everything else works.
type listener struct {
	*firestore.Store
	deaf atomic.Bool
}

func (l *listener) Listen(ctx context.Context, tell func(registry.Notice)) error {
	return l.Store.Listen(ctx, func(n registry.Notice) {
		switch {
		case !l.deaf.Load():
			tell(n)
		case rand.IntN(2) == 0:
			time.AfterFunc(time.Duration(rand.IntN(3000))*time.Millisecond, func() { tell(n) })
		}
	})
}

func (x *trouble) open(p emulatortest.Project) *firestore.Store {
	store, err := firestore.Open(x.Context(), firestore.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(x, err)
	x.Cleanup(func() { _ = store.Close() })
	return store
}

func (x *trouble) thread(i int) registry.Resource { return thread(fmt.Sprint("th_", i)) }
func (x *trouble) plain(i int) registry.Resource {
	return registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint("cv_", i)}
}
func (x *trouble) tenant(i int) string { return fmt.Sprint("t_", i%troubleTenants) }

var versions int

func (x *trouble) version() registry.Version {
	versions++
	return registry.Version{Time: time.Now(), Source: "//trouble", ID: fmt.Sprint(versions)}
}

// change applies one change, until it is acknowledged, and keeps the truth.
func (x *trouble) change(c registry.Change) {
	x.begin(func(l *registry.Ledger, entries []registry.LedgerEntry) *registry.Ledger {
		if c.Resource != (registry.Resource{}) {
			x.histories[c.Resource], _ = x.histories[c.Resource].Merge(c.Entry)
			return l
		}
		e, _ := registry.LedgerEntry{}.Merge(c.Entry, false)
		return registry.NewLedger(l.Seq()+1, append(slices.Clone(entries), e))
	}, func(ctx context.Context) bool {
		return x.writer.Apply(ctx, []registry.Change{c})[0].Kind != registry.Failed
	})
}

// retract takes the latest move of a tenant back.
func (x *trouble) retract() {
	var last registry.LedgerEntry
	for _, e := range x.ledger.Entries() {
		if e.Counts() {
			last = e
		}
	}
	if last.ID == "" {
		return
	}
	retraction := registry.Retraction{Source: last.Source, ID: last.ID, At: time.Now()}
	x.begin(func(l *registry.Ledger, entries []registry.LedgerEntry) *registry.Ledger {
		entries = slices.Clone(entries)
		for i, e := range entries {
			if e.SameEvent(last.Version) {
				entries[i], _ = e.Retract(retraction, true)
			}
		}
		return registry.NewLedger(l.Seq()+1, entries)
	}, func(ctx context.Context) bool { return x.writer.Retract(ctx, retraction).Kind != registry.Failed })
}

// begin does one write. The new owners may be seen from before it is sent, the
// old ones until it is acknowledged.
func (x *trouble) begin(apply func(*registry.Ledger, []registry.LedgerEntry) *registry.Ledger, write func(context.Context) bool) {
	x.mu.Lock()
	x.ledger = apply(x.ledger, x.ledger.Entries())
	sent := time.Now()
	lost := map[registry.Resource]int{}
	for r, h := range x.histories {
		owner, spans := h.Owner(x.ledger), x.owned[r]
		if len(spans) > 0 && spans[len(spans)-1].tenant == owner {
			continue
		}
		lost[r] = len(spans) - 1
		x.owned[r] = append(spans, ownership{tenant: owner, from: sent})
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
	x.owned[r] = append(spans, ownership{tenant: tenant, from: time.Now()})
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

func (x *trouble) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(x.Context(), d)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { x.write(ctx) })
	for i, v := range x.verifiers {
		running.Go(func() { x.breakLink(ctx, x.links[i], x.listeners[i]) })
		for range 8 {
			running.Go(func() { x.ask(ctx, v, i == 0) })
			running.Go(func() { x.watch(ctx, v, i == 0) })
		}
	}
	running.Go(func() { x.stop(ctx) })
	running.Wait()
}

func (x *trouble) write(ctx context.Context) {
	for ctx.Err() == nil {
		switch n := rand.IntN(20); {
		case n == 0:
			from := rand.IntN(troubleTenants)
			x.change(registry.Change{Entry: registry.Entry{Type: registry.Moved, Version: x.version(),
				From: x.tenant(from), To: x.tenant(from + 1 + rand.IntN(troubleTenants-1))}})
		case n == 1:
			x.retract()
		case n < 5:
			x.set(rand.IntN(troublePlain), fmt.Sprint("t_p", rand.IntN(3)))
		default:
			r := x.thread(rand.IntN(troubleThreads))
			from := x.histories[r].Owner(x.ledger)
			x.change(registry.Change{Resource: r, Entry: registry.Entry{Type: registry.Moved, Version: x.version(),
				From: from, To: x.tenant(rand.IntN(troubleTenants))}})
		}
		pause(ctx, time.Millisecond)
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

// watch holds streams open until they are told, or for a while.
func (x *trouble) watch(ctx context.Context, v *verifier.Verifier, plainToo bool) {
	for ctx.Err() == nil {
		tenant, r := x.claim(plainToo)
		grace := 250 * time.Millisecond // until some goroutine gets to it
		if r.Kind == registry.Canvas {
			grace += troubleStaleness / 2 // it is not looked all the time for what is older than MaxAge
		}
		patience, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		holding, leave := context.WithTimeout(ctx, 5*time.Second)
		done := v.Watch(holding, r)
		open := v.Verify(patience, tenant, r) == nil
		for open && holding.Err() == nil {
			at := time.Now()
			if closed(done) {
				x.mu.Lock()
				x.told++
				x.mu.Unlock()
				break
			}
			x.judge(tenant, r, at, at, grace)
			pause(holding, 20*time.Millisecond)
		}
		leave()
		cancel()
		pause(ctx, 10*time.Millisecond)
	}
}

// ask checks for tenants that own or owned what they ask for.
func (x *trouble) ask(ctx context.Context, v *verifier.Verifier, plainToo bool) {
	for ctx.Err() == nil {
		tenant, r := x.claim(plainToo)
		patience, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		began := time.Now()
		if v.Verify(patience, tenant, r) == nil {
			x.judge(tenant, r, began, time.Now(), 0)
		}
		cancel()
		pause(ctx, time.Duration(rand.IntN(8))*time.Millisecond)
	}
}

func (x *trouble) breakLink(ctx context.Context, l *wire.Link, heard *listener) {
	faults := []func(){
		func() { l.Delay(time.Duration(50+rand.IntN(600)) * time.Millisecond) },
		l.Cut, l.HalfOpen, l.Blackhole, l.Refuse, func() {},
		func() { heard.deaf.Store(true) }, func() { heard.deaf.Store(true) },
	}
	for ctx.Err() == nil {
		faults[rand.IntN(len(faults))]()
		pause(ctx, time.Duration(200+rand.IntN(2500))*time.Millisecond)
		l.Restore()
		heard.deaf.Store(false)
		pause(ctx, time.Duration(rand.IntN(1500))*time.Millisecond)
	}
	l.Restore()
}

func (x *trouble) stop(ctx context.Context) {
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
	x.Logf("%d writes, %d checks, %d watches told, %d times not, %d stale answers within the bounds of %v and %v: p50 %v, p90 %v, p99 %v, most %v; %d violations",
		x.moves, x.checks, x.told, x.untold, len(x.stale), troubleStaleness, troubleMaxAge, at(.5), at(.9), at(.99), at(1), len(x.violations))
	for _, v := range x.violations[:min(5, len(x.violations))] {
		x.Log(v)
	}
}
