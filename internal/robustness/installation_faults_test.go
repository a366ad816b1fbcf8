//go:build proofs

package robustness

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// Kinds of faults that befall the installation, and not one process alone.
const (
	firestorePaused    = "Firestore emulator paused"
	pubsubPaused       = "Pub/Sub emulator paused"
	firestoreRestarted = "Firestore emulator restarted with its data"
)

// outages stops an emulator for a while, now and then, or starts one again: each of them
// once at least.
func (x *installation) outages(ctx context.Context, longest time.Duration) {
	outages := []func(context.Context, time.Duration){
		func(ctx context.Context, d time.Duration) { x.pause(ctx, x.emulators.Firestore, firestorePaused, d) },
		func(ctx context.Context, d time.Duration) { x.pause(ctx, x.emulators.PubSub, pubsubPaused, d) },
		x.restart,
		x.restartPubSub,
	}
	for i := 0; ctx.Err() == nil || i < len(outages); i++ {
		// At no beat: what a process repeats at intervals would keep step with it.
		sleep(ctx, longest+time.Duration(x.world.chance(int(2*longest))))
		if i < len(outages) {
			outages[i](context.Background(), longest)
		} else if ctx.Err() == nil {
			outages[i%len(outages)](ctx, longest)
		}
	}
}

func (x *installation) pause(ctx context.Context, e *emulator.Emulator, kind string, lasts time.Duration) {
	r := judge.Record{Type: judge.Fault, At: now(), Kind: kind}
	if err := e.Pause(); err != nil {
		x.t.Errorf("%v", err)
	}
	sleep(ctx, lasts)
	if err := e.Resume(); err != nil {
		x.t.Errorf("%v", err)
	}
	r.Until = now()
	x.history.record(r)
}

// restart starts the Firestore emulator again. Nothing may be written meanwhile, so
// writes are refused from a while before: those under way have ended then.
func (x *installation) restart(context.Context, time.Duration) {
	r := judge.Record{Type: judge.Fault, At: now(), Kind: firestoreRestarted}
	x.project.FirestoreRules.FailWrites(codes.Unavailable)
	defer x.project.FirestoreRules.FailWrites(codes.OK)
	time.Sleep(6 * time.Second) // what was let in before has been carried out by then
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := x.emulators.Firestore.Restart(ctx, x.project.ID, x.t.TempDir()); err != nil {
		x.t.Errorf("%v", err)
	}
	r.Until = now()
	x.history.record(r)
}

// rolls replaces every process, one after the other, by the last release, and back.
func (x *installation) rolls(ctx context.Context, last string, pause time.Duration) {
	for _, kind := range []string{judge.LastRelease, ""} {
		sleep(ctx, pause)
		for _, m := range x.machines {
			binary := last
			if kind == "" {
				binary = m.own
			}
			x.replace(m, binary, kind)
		}
	}
	time.Sleep(16 * time.Second) // S + D: what the last release began to write has been written
	close(x.ofOneRelease)
}

// replace drains a process and starts another binary in its place. How long the last
// release runs is a fault: it is not held to what was promised later.
func (x *installation) replace(m *machine, binary, kind string) {
	m.taken.Lock()
	defer m.taken.Unlock()
	m.old.Store(true)
	drained := m.drain()
	x.history.record(drained)
	if m.since.Kind != "" {
		m.since.Until = now()
		x.history.record(m.since)
	}
	m.since = judge.Record{Type: judge.Fault, At: drained.At, Of: m.name, Kind: kind}
	m.become(binary)
	m.start()
	m.old.Store(kind == judge.LastRelease)
}

// lastRelease builds the last release, and returns its path.
func lastRelease(t *testing.T) string {
	commit, err := os.ReadFile("../../cmd/registry-worker/testdata/last-release")
	require.NoError(t, err)
	return emulatortest.Release(t, strings.TrimSpace(string(commit)))
}
