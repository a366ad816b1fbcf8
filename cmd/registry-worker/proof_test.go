//go:build proofs

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// proofSeed is 1, or what PROOFS_SEED says.
func proofSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("PROOFS_SEED")
	if text == "" {
		return 1
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return seed
}

// Several workers are killed at random and started again, while the events come
// in any order and a fifth of them twice, tenants move, and moves are taken
// back. REGISTRY_TEST_ARCHIVE names an archive in place of made events.
func TestProofThatKilledWorkersEndAsTheReferenceSays(t *testing.T) {
	const workers = 3
	seed := proofSeed(t)
	random := rand.New(rand.NewPCG(seed, 2))
	c := onEmulators(t)
	c.run(exitDone, "provision")
	w, justified, store := loadWorkload(t, random), newJustified(), c.open()
	began := time.Now()

	asked := c.askAllTheWhile(w, justified)
	killer := c.killAllTheWhile(workers, rand.New(rand.NewPCG(seed, 3)))
	var retracted []events.Event
	deliveries := w.deliveries(random)
	for chunk := range slices.Chunk(deliveries, max(1, len(deliveries)/20)) {
		for _, e := range chunk {
			justified.published(e)
		}
		c.run(exitDone, "publish", archiveOf(t, chunk))
		if random.IntN(5) == 0 && len(retracted) < 3 { // perhaps before its move has come
			move := w.moves[random.IntN(len(w.moves))]
			retracted = append(retracted, move)
			require.NoError(t, store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: move.Source, ID: move.ID}, "proof", "")})[0].Err)
		}
	}

	var ref reference.Registry
	for _, e := range w.events {
		ref.Add(handlers.Changes(e)...)
	}
	for _, m := range retracted {
		ref.Add(ownership.Retraction(ownership.Version{Source: m.Source, ID: m.ID}, "", ""))
	}
	want := exportOf(&ref)
	const enough = 30 // while messages are left, and while documents are rewritten
	require.Eventually(t, func() bool { return killer.kills.Load() >= enough && killer.inJob.Load() > 0 }, 5*time.Minute, 100*time.Millisecond,
		"some of them inside a job")
	killed := killer.stop()
	// What a killed worker had is delivered again when its lease has ended.
	require.Eventually(t, func() bool { return c.export() == want }, 5*time.Minute, 3*time.Second)
	require.Eventually(t, func() bool {
		for _, m := range c.rewriting() {
			if m.Rewriting.State != ownership.RewritingDone {
				return false
			}
		}
		return true
	}, 5*time.Minute, time.Second)
	require.Empty(t, c.export("--check"))
	require.Equal(t, want, c.export())
	questions, yes := asked()
	t.Logf("seed %d: %d events in %d deliveries, %d moves of tenants, %d of them retracted, %d kills, %d of them inside a job, %d checks (%d allowed), %s",
		seed, len(w.events), len(deliveries), len(w.moves), len(retracted), killed, killer.inJob.Load(), questions, yes, time.Since(began).Round(time.Second))
	require.Positive(t, killed)
	require.Positive(t, yes)
}

func archiveOf(t *testing.T, all []events.Event) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.ndjson.gz")
	out, err := archive.Create(file, nil)
	require.NoError(t, err)
	for _, e := range all {
		require.NoError(t, out.Write(e))
	}
	require.NoError(t, out.Close())
	return file
}

// exportOf is what export prints of a registry with these owners.
func exportOf(ref *reference.Registry) string {
	owners := ref.Owners()
	var names []string
	byName := map[string]registry.Resource{}
	for r := range owners {
		name := r.DocumentID()
		names, byName[name] = append(names, name), r
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, name := range names {
		r := byName[name]
		fmt.Fprintf(&b, `{"kind":%q,"id":%q,"tenant_id":%q}`+"\n", r.Kind, r.ID, owners[r])
	}
	return b.String()
}

// killer keeps workers running, and kills them at random.
type killer struct {
	kills atomic.Int64
	inJob atomic.Int64 // those that left a job without giving it back
	end   context.CancelFunc
	done  chan struct{}
}

// killAllTheWhile starts workers, and a killer that goes on until it is stopped.
func (c program) killAllTheWhile(workers int, random *rand.Rand) *killer {
	start := func() *emulatortest.Process {
		return c.start("run", "--listen", "127.0.0.1:0", "--rate", "unlimited", "--log-level", "warn",
			"--max-outstanding", "300", "--streams", "2")
	}
	store, running := c.open(), make([]*emulatortest.Process, workers)
	for i := range running {
		running[i] = start()
	}
	k := &killer{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	k.end = cancel
	go func() {
		defer close(k.done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(500+random.IntN(4000)) * time.Millisecond):
			}
			i := random.IntN(workers)
			running[i].Kill()
			running[i].Wait(10 * time.Second)
			if c.hasJob(store, running[i].PID()) {
				k.inJob.Add(1)
			}
			running[i] = start()
			k.kills.Add(1)
		}
	}()
	return k
}

// hasJob reports whether a process, which is dead, holds a job of rewriting.
func (c program) hasJob(store ownership.Store, pid int) bool {
	moves, err := store.Moves(context.Background())
	if err != nil {
		c.t.Errorf("moves: %v", err)
	}
	return slices.ContainsFunc(moves, func(m ownership.LedgerEntry) bool {
		return m.Rewriting.State == ownership.RewritingRunning && strings.Contains(m.Rewriting.Holder, fmt.Sprintf("/%d/", pid))
	})
}

// stop ends the killing, and leaves the workers running.
func (k *killer) stop() int64 {
	k.end()
	<-k.done
	return k.kills.Load()
}

// askAllTheWhile asks a verifier about random resources, and fails the test
// if it allows what no set of the published events could justify.
func (c program) askAllTheWhile(w workload, j *justified) (stop func() (questions, yes int64)) {
	c.t.Helper()
	v, err := verifier.New(c.open(), verifier.Options{})
	require.NoError(c.t, err)
	c.t.Cleanup(v.Close)
	var questions, yes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(7, 7))
		for ctx.Err() == nil {
			r := w.resources[random.IntN(len(w.resources))]
			tenant := w.tenants[random.IntN(len(w.tenants))]
			err := v.Verify(ctx, tenant, r)
			questions.Add(1)
			switch {
			case err == nil && !j.yes(r, tenant):
				c.t.Errorf("the verifier let %s have %s, which nothing that was published justifies", tenant, r)
			case err == nil:
				yes.Add(1)
			case !errors.Is(err, registry.ErrNotFound) && ctx.Err() == nil && !errors.Is(err, registry.ErrUnavailable):
				c.t.Errorf("check %s of %s: %v", r, tenant, err)
			}
		}
	}()
	return func() (int64, int64) { cancel(); <-done; return questions.Load(), yes.Load() }
}

// largeTenant is how many threads the large tenant has: 20,000, or what
// PROOFS_THREADS says. What is shown does not depend on it: one commit, and a job
// that a kill does not harm. An emulator has no indexes, so each page of the job looks
// at the whole collection: with 100,000 threads on two cores that takes longer than a
// call may, again and again.
func largeTenant(t *testing.T) int {
	t.Helper()
	text := os.Getenv("PROOFS_THREADS")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// timed logs how long f took.
func timed(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	t.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
}

// direct is the tenant_id that a program reads which knows the documents only.
func (c program) direct(name string) any {
	c.t.Helper()
	python, err := client.NewClient(context.Background(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(c.t, err)
	defer python.Close()
	d, err := python.Collection(fsregistry.Collection).Doc(name).Get(context.Background())
	require.NoError(c.t, err)
	return d.Data()["tenant_id"]
}

// progress is how far the rewriting for a move is, as `moves list --json` has it.
func (c program) progress(id string) string {
	c.t.Helper()
	text, err := json.Marshal(c.rewriting()[id].Rewriting)
	require.NoError(c.t, err)
	return string(text)
}

// A tenant with 20,000 threads moves with one commit, and back.
func TestProofOfALargeTenantsMove(t *testing.T) {
	n := largeTenant(t)
	c, meter := onEmulators(t), wire.NewMeter()
	c.run(exitDone, "provision")
	lines := append(threads("t_large", "th", n), created("own", "2024-01-01T00:00:00Z", "t_target", "own"))
	file := write(t, lines...)
	timed(t, "replay of the creations", func() { c.patient("replay", "--yes", "--rate", "unlimited", file) })
	before := c.patient("export")
	timed(t, "moves plan", func() {
		plan := c.patient("moves", "plan", "--from", "t_large", "--to", "t_target")
		t.Log("\n" + plan)
		require.Contains(t, plan, fmt.Sprintf("%d threads would change hands", n))
	})

	// What the worker and the verifier do is seen by a meter. Until the verifier
	// has answered, the lease of rewriting is somebody else's.
	proxy, err := wire.NewProxy(c.project.FirestoreHost, meter.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	metered := c
	metered.project.FirestoreHost = proxy.Addr()
	store := c.open()
	decoy := ownership.Entry{Type: ownership.Moved, From: "t_nobody", To: "t_neither",
		Version: ownership.Version{Time: time.Unix(1, 0), Source: "//test", ID: "decoy"}}
	require.Equal(t, ownership.Applied, store.Apply(t.Context(), []ownership.Change{{Entry: decoy}})[0].Kind)
	held, err := storetest.LeaseJob(t.Context(), store, "nobody", 5*time.Minute)
	require.NoError(t, err)
	first, _ := metered.service("run", "--rate", strconv.Itoa(max(50, n/20)))
	v, err := verifier.New(metered.open(), verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	one := fmt.Sprintf("th_%05d", n/2)
	require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_large", one))
	require.Eventually(t, func() bool { // the worker has looked into the outbox, and does so again in a minute
		state, err := store.ReadOutbox(t.Context())
		return err == nil && !state.At.IsZero()
	}, time.Minute, 50*time.Millisecond)
	meter.Reset()
	timed(t, "from before the move is published, by a process that is started for it, to the first right answer of a verifier", func() {
		c.run(exitDone, "publish", write(t, tenantMoved("m", "2024-02-01T00:00:00Z", "t_large", "t_target")))
		require.Eventually(t, func() bool { return v.VerifyThreadAccess(t.Context(), "t_target", one) == nil }, time.Minute, time.Millisecond)
	})
	commits, writes := meter.Calls("Commit"), meter.Counts().Writes
	t.Logf("%d threads; until then, by worker and verifier: %d commit, writes %v", n, commits, writes)
	require.Equal(t, map[string]int64{fsregistry.LedgerCollection: 2}, writes, "the entry and the head")
	require.EqualValues(t, 1, commits, "in one commit")
	require.Zero(t, meter.Calls("BatchWrite"))
	require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_large", one), registry.ErrNotFound)
	require.Equal(t, "t_large", c.direct("thread__"+one), "direct readers wait for the job")

	held.Entry.Rewriting.State = ownership.RewritingQueued
	_, err = store.SaveJob(t.Context(), held)
	require.NoError(t, err)
	require.NoError(t, storetest.ReleaseLease(t.Context(), store, "nobody"))
	require.Eventually(t, func() bool { r := c.rewriting()["m"].Rewriting; return r.Written > 0 && r.State == "running" }, time.Minute, 100*time.Millisecond)
	first.Kill()
	t.Logf("killed at %s", c.progress("m"))
	second, _ := c.service("run", "--rate", "unlimited")
	finished := func() bool { return c.rewriting()["m"].Rewriting.State == "done" }
	timed(t, "until another worker has ended the job", func() { require.Eventually(t, finished, 5*time.Minute, 500*time.Millisecond) })
	t.Logf("ended as %s", c.progress("m"))
	require.Equal(t, "t_target", c.direct("thread__"+one))
	require.Empty(t, c.patient("export", "--check"))
	require.Equal(t, n+1, strings.Count(c.patient("export"), `"t_target"`))

	timed(t, "moves retract", func() { c.patient("moves", "retract", "m", "--yes") })
	require.Equal(t, before, c.patient("export"), "byte for byte")
	timed(t, "until the job of the retraction has ended", func() { require.Eventually(t, finished, 5*time.Minute, 500*time.Millisecond) })
	require.Empty(t, c.patient("export", "--check"))
	require.Equal(t, before, c.patient("export"), "byte for byte")
	require.Equal(t, "t_large", c.direct("thread__"+one))
	second.Kill()
}
