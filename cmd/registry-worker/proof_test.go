//go:build proofs

package main

import (
	"bytes"
	"context"
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

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/events/archive"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/firestore"
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

func (c program) open() *firestore.Store {
	c.t.Helper()
	store, err := firestore.Open(c.t.Context(), firestore.Options{ProjectID: c.project.ID, ClientOptions: c.project.FirestoreOptions()})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { store.Close() })
	return store
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
			require.NoError(t, store.Retract(t.Context(), registry.Retraction{Source: move.Source, ID: move.ID, By: "proof"}).Err)
		}
	}

	var ref reference.Registry
	for _, e := range w.events {
		ref.Add(handlers.Changes(e)...)
	}
	for _, m := range retracted {
		ref.Retract(m.Source, m.ID)
	}
	want := exportOf(&ref)
	const enough = 30 // while messages are left, and while documents are rewritten
	require.Eventually(t, func() bool { return killer.kills.Load() >= enough }, 5*time.Minute, 100*time.Millisecond)
	killed := killer.stop()
	// What a killed worker had is delivered again when its lease has ended.
	require.Eventually(t, func() bool { return c.export() == want }, 5*time.Minute, 3*time.Second)
	require.Eventually(t, func() bool {
		for _, m := range c.rewriting() {
			if m.Rewriting.State != registry.RewritingDone {
				return false
			}
		}
		return true
	}, 5*time.Minute, time.Second)
	require.Empty(t, c.export("--check"))
	require.Equal(t, want, c.export())
	questions, yes := asked()
	t.Logf("seed %d: %d events in %d deliveries, %d moves of tenants, %d of them retracted, %d kills, %d checks (%d allowed), %s",
		seed, len(w.events), len(deliveries), len(w.moves), len(retracted), killed, questions, yes, time.Since(began).Round(time.Second))
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
	end   context.CancelFunc
	done  chan struct{}
}

// killAllTheWhile starts workers, and a killer that goes on until it is stopped.
func (c program) killAllTheWhile(workers int, random *rand.Rand) *killer {
	start := func() *emulatortest.Process {
		return c.start("run", "--listen", "127.0.0.1:0", "--rate", "unlimited", "--log-level", "warn",
			"--batch-size", "50", "--max-outstanding", "300", "--streams", "2")
	}
	running := make([]*emulatortest.Process, workers)
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
			running[i] = start()
			k.kills.Add(1)
		}
	}()
	return k
}

// stop ends the killing, and leaves the workers running.
func (k *killer) stop() int64 {
	k.end()
	<-k.done
	return k.kills.Load()
}

// askAllTheWhile asks a verifier about random resources, and fails the test
// where it allows what no set of the published events could justify.
func (c program) askAllTheWhile(w workload, j *justified) (stop func() (questions, yes int64)) {
	c.t.Helper()
	v, err := verifier.New(c.t.Context(), c.open(), verifier.Options{})
	require.NoError(c.t, err)
	var questions, yes atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(7, 7))
		for ctx.Err() == nil {
			r := w.resources[random.IntN(len(w.resources))]
			tenant := w.tenants[random.IntN(len(w.tenants))]
			err := v.VerifyThreadAccess(ctx, tenant, r.ID)
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

// A tenant with 100,000 threads moves with one commit, and back.
func TestProofOfALargeTenantsMove(t *testing.T) {
	const n = 100_000
	c := onEmulators(t)
	c.run(exitDone, "provision")
	var lines []string
	for i := range n {
		lines = append(lines, created(strconv.Itoa(i), "2024-01-01T00:00:00Z", "t_large", fmt.Sprintf("th_%06d", i)))
	}
	lines = append(lines, created("own", "2024-01-01T00:00:00Z", "t_target", "own"))
	timed := func(what string, f func()) {
		began := time.Now()
		f()
		t.Logf("%s: %s", what, time.Since(began).Round(time.Millisecond))
	}
	patient := func(args ...string) string {
		p := c.start(args...)
		require.Equal(t, exitDone, p.Wait(5*time.Minute), "%s", p.Stderr)
		return p.Stdout.String()
	}
	file := write(t, lines...)
	timed("replay of the creations", func() { patient("replay", "--rate", "unlimited", file) })
	before := patient("export")
	timed("moves plan", func() {
		plan := patient("moves", "plan", "--from", "t_large", "--to", "t_target")
		t.Log("\n" + plan)
		require.Contains(t, plan, "100000 threads would change hands")
	})

	store := c.open()
	v, err := verifier.New(t.Context(), c.open(), verifier.Options{})
	require.NoError(t, err)
	require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_large", "th_050000"))
	move := registry.Entry{Type: registry.Moved, From: "t_large", To: "t_target",
		Version: registry.Version{Time: time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC), Source: "//test", ID: "m"}}
	timed("the move", func() {
		o := store.Apply(t.Context(), []registry.Change{{Entry: move}})[0]
		require.Equal(t, registry.Applied, o.Kind, o.Err)
	})
	timed("from its commit to the first answer of a verifier in another client", func() {
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_target", "th_050000"))
		require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_large", "th_050000"), registry.ErrNotFound)
	})

	first := c.start("run", "--listen", "127.0.0.1:0", "--rate", "5000")
	require.Eventually(t, func() bool { r := c.rewriting()["m"].Rewriting; return r.Written > 0 && r.State == "running" }, time.Minute, 100*time.Millisecond)
	first.Kill()
	t.Logf("killed at %+v", c.rewriting()["m"].Rewriting)
	second := c.start("run", "--listen", "127.0.0.1:0", "--rate", "unlimited")
	finished := func() bool { return c.rewriting()["m"].Rewriting.State == "done" }
	timed("until another worker has ended the job", func() { require.Eventually(t, finished, 5*time.Minute, 500*time.Millisecond) })
	t.Logf("ended as %+v", c.rewriting()["m"].Rewriting)
	require.Empty(t, patient("export", "--check"))
	require.Equal(t, n+1, strings.Count(patient("export"), `"t_target"`))

	patient("moves", "retract", "m", "--yes")
	require.Equal(t, before, patient("export"), "byte for byte")
	timed("until the job of the retraction has ended", func() { require.Eventually(t, finished, 5*time.Minute, 500*time.Millisecond) })
	require.Empty(t, patient("export", "--check"))
	second.Kill()
}
