//go:build proofs

package robustness

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

var (
	seedFlag     = flag.Uint64("robustness.seed", 1, "from which the schedule of faults follows")
	durationFlag = flag.Duration("robustness.for", time.Minute, "how long there is trouble")
	dirFlag      = flag.String("robustness.dir", "", "where the history and the logs of processes go; empty: a temporary directory")
)

// The bounds that the run is held against.
var bounds = judge.Bounds{
	MaxStaleness: 2_000,
	Answer:       6_000, // serve gives up after 5 s, and the Python client after 6
	Settle:       120_000,
	// /readyz of a worker fails after 30 s. A stream that was broken without a word is
	// noticed by a ping, sent every 30 s and given 15 s, and opened again after up to
	// 30 s (the defaults of gax.Backoff, which the client of Pub/Sub takes).
	Notice: 90_000,
	Guard:  2*2_000 + int64(patience/time.Millisecond),
}

// installation is everything that runs.
type installation struct {
	t         *testing.T
	dir       string
	binary    string
	last      string         // the binary of the last release
	addresses []string       // of the machines
	apart     []judge.Record // processes whose clocks are set apart
	emulators *emulator.Emulators
	project   emulatortest.Project

	history   *recorder
	acks      *acks
	world     *world
	publisher *publisher
	machines  []*machine // all of them
	serves    []*machine

	transports []*transport

	operating    sync.Mutex    // an operator's command runs that uses Pub/Sub
	ofOneRelease chan struct{} // closed when all processes are of this release, for good
	erased       []string      // tenants
	lastRead     atomic.Int64  // when a dead letter, or an event of the log, was read last
	promised     promised
	over         chan struct{} // closed when nothing is waited for any more
}

func TestProofOfRobustness(t *testing.T) {
	verdict := robustness(t, emulatortest.Binary(t), *seedFlag, *durationFlag)
	require.Empty(t, verdict.Missing, "kinds of trouble that did not occur")
	require.Empty(t, verdict.Violations)
}

// robustness runs an installation of a program, and judges its history.
func robustness(t *testing.T, binary string, seed uint64, duration time.Duration) *judge.Verdict {
	x := newInstallation(t, binary, seed)
	file := x.history.file.Name()
	t.Logf("seed %d, %s, history %s", seed, duration, file)
	kinds := []string{
		firestorePaused, pubsubPaused, firestoreRestarted, pubsubRestarted, judge.LastRelease, judge.Apart,
		exportFull, checkpointFull, transportPaused, transportLink, judge.Command + judge.Erase,
	}
	for _, k := range troubles {
		kinds = append(kinds, k.kind)
	}
	x.history.record(judge.Record{Type: judge.Run, At: now(), Seed: seed, Bounds: &bounds, Must: kinds})
	x.run(seed, duration)
	x.history.close()

	history, err := judge.Read(context.Background(), []string{file}, nil)
	require.NoError(t, err)
	began := time.Now()
	verdict, err := judge.Judge(history)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, verdict.Print(&text))
	t.Logf("judged in %s:\n%s", time.Since(began).Round(time.Millisecond), text.String())
	if !verdict.Good() {
		t.Logf("judge it again: registry-worker verify-history %s\nrepeat the schedule: make robustness SEED=%d DURATION=%s", file, seed, duration)
	}
	return verdict
}

// How many processes of each sort there are: of each serve process a transport asks.
const (
	workers = 3
	serves  = 2
)

func newInstallation(t *testing.T, binary string, seed uint64) *installation {
	dir := *dirFlag
	if dir == "" {
		var err error
		dir, err = os.MkdirTemp("", "robustness-")
		require.NoError(t, err)
		t.Cleanup(func() {
			if !t.Failed() {
				_ = os.RemoveAll(dir)
			}
		})
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	emulatortest.Both(t) // skips if there is none
	emulators, err := emulator.Start(t.Context(), emulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, emulators.Stop()) })
	x := &installation{
		t: t, dir: dir, binary: binary, emulators: emulators, over: make(chan struct{}), ofOneRelease: make(chan struct{}), world: newWorld(seed),
		project: emulatortest.BothAt(t, emulators.Firestore.Host, emulators.PubSub.Host),
		history: newRecorder(t, filepath.Join(dir, fmt.Sprintf("history-%d.ndjson", seed))),
	}
	x.last = lastRelease(t)
	x.acks = newAcks(x.history)
	distance := time.Duration(5+seed%10*5) * time.Millisecond
	x.project.FirestoreRules.Distance(distance)
	x.project.PubSubRules.Distance(distance)

	x.addresses = freeAddresses(workers + 2*serves + 1)
	policy := filepath.Join(dir, "policies.yaml")
	require.NoError(t, os.WriteFile(policy, []byte(policies), 0o600))
	x.must("provision")
	for i := range workers {
		x.newMachine(fmt.Sprint("worker-", i), "run", "--rate", "unlimited", "--max-outstanding", "300", "--streams", "2", "--lease", "10s")
	}
	for i := range serves {
		x.serves = append(x.serves, x.newMachine(fmt.Sprint("serve-", i), "serve", "--throttle-policies", policy, "--max-staleness", "2s"))
	}
	if skewed := apart(t, dir); binary == emulatortest.Binary(t) { // a mutant has the machine's
		x.machines[workers-1].setApart(skewed, 70)
		x.serves[serves-1].setApart(skewed, -50)
	}
	for i, m := range x.serves {
		x.transports = append(x.transports, x.newTransport(i, x.addresses[workers+serves+i], m))
	}
	x.newProbed(x.probed())
	x.publisher = x.newPublisher()
	x.subscribe(t.Context())
	return x
}

// probed is the address of the process that bare requests go to.
func (x *installation) probed() string { return x.addresses[len(x.addresses)-1] }

// freeAddresses returns addresses on loopback at which no process listens, all
// different. They are below the ports that systems give to programs that ask for any: else
// another could have that of a process while it is started again.
func freeAddresses(n int) (all []string) {
	for len(all) < n {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 15_000+rand.IntN(15_000)))
		if err != nil {
			continue // it is taken
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// must runs a command that has to succeed.
func (x *installation) must(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	code, out, errs := x.command(ctx, args...)
	require.Zero(x.t, code, "%v: %s", args, errs)
	return out
}

// subscribe subscribes to dead letters and to the registry's log for the history.
func (x *installation) subscribe(ctx context.Context) {
	prefix := "projects/" + x.project.ID
	for topic, subscription := range map[string]string{"realtime-registry-dead-letters": lettersSubscription, "realtime-registry-log": logSubscription} {
		_, err := x.publisher.client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
			Name: prefix + "/subscriptions/" + subscription, Topic: prefix + "/topics/" + topic,
			AckDeadlineSeconds: 60, MessageRetentionDuration: durationpb.New(24 * time.Hour),
		})
		if err != nil {
			x.t.Errorf("subscribe to %s: %v", topic, err)
		}
	}
}

// How many steps of the world are published a second, and in a run. The emulator sorts
// what it has of a collection for each query: with 80,000 resources a query takes
// seconds, and what a long run says is about the emulator.
const (
	perSecond = 30
	mostSteps = 15_000
)

// run runs everything: a while of peace, the trouble, and what must come after it.
func (x *installation) run(seed uint64, duration time.Duration) {
	var starting sync.WaitGroup
	for _, m := range x.machines {
		starting.Go(m.start)
	}
	starting.Wait()
	if x.t.Failed() {
		x.t.FailNow()
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var load, reading, healthy sync.WaitGroup
	reading.Go(func() {
		if err := x.letters(ctx, x.publisher.client); err != nil {
			x.t.Errorf("dead letters: %v", err)
		}
	})
	reading.Go(func() {
		if err := x.log(ctx, x.publisher.client); err != nil {
			x.t.Errorf("the registry's log: %v", err)
		}
	})
	reading.Go(func() { x.windows(ctx) })
	asking, enough := context.WithCancel(ctx)
	healthy.Go(func() { x.health(asking) })
	healthy.Go(func() { x.probe(asking, x.probed()) })
	busy, quiet := context.WithCancel(ctx)
	load.Go(func() { x.publisher.run(busy, max(time.Second/perSecond, duration/mostSteps)) })
	load.Go(func() { x.operate(busy) })
	load.Go(func() { x.python(busy, fmt.Sprint(seed)) })
	load.Go(func() { x.erase(busy) })
	for _, s := range x.transports {
		for i := range 8 {
			load.Go(func() { s.stream(busy, fmt.Sprint(i)) })
		}
	}
	for i := range 4 {
		load.Go(func() { x.newClient(fmt.Sprint("client-", i)).run(busy) })
		load.Go(func() { x.newClient(fmt.Sprint("watcher-", i)).watch(busy) })
	}
	for i := range askers {
		load.Go(func() { x.newClient(fmt.Sprint("asker-", i)).askBrief(busy) })
	}
	sleep(ctx, min(10*time.Second, duration/4))
	for _, m := range x.machines {
		m.sample("before")
	}
	troubled, calm := context.WithTimeout(ctx, duration)
	x.disturb(troubled, seed, duration)
	calm()
	for _, r := range x.apart {
		r.Until = now()
		x.history.record(r)
	}
	x.history.record(judge.Record{Type: judge.Calm, At: now()})
	sleep(ctx, 5*time.Second) // all goes on
	quiet()
	load.Wait()
	x.settle()
	for _, m := range x.machines {
		m.sample("after")
	}
	enough() // that a process is told to end now is no trouble, and is not recorded
	healthy.Wait()
	for _, m := range x.machines {
		m.drain()
	}
	stop()
	reading.Wait()
	close(x.over)
	x.end()
}
