//go:build proofs

package robustness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// Kinds of faults that befall the installation, and not one process alone.
const (
	firestorePaused = "Firestore emulator paused"
	pubsubPaused    = "Pub/Sub emulator paused"
	diskFull        = "disk full"
)

// pauses stops the emulators, one and then the other, for a while each, now and then.
func (x *installation) pauses(ctx context.Context, emulators *emulator.Emulators, longest time.Duration) {
	for i := 0; ; i++ {
		sleep(ctx, 2*longest)
		if ctx.Err() != nil {
			return
		}
		one, kind := emulators.Firestore, firestorePaused
		if i%2 == 1 {
			one, kind = emulators.PubSub, pubsubPaused
		}
		r := judge.Record{Type: judge.Fault, At: now(), Kind: kind}
		if err := one.Pause(); err != nil {
			x.t.Errorf("%v", err)
		}
		sleep(ctx, longest)
		if err := one.Resume(); err != nil {
			x.t.Errorf("%v", err)
		}
		r.Until = now()
		x.history.record(r)
	}
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
}

// replace drains a process and starts another binary in its place. How long the last
// release runs is a fault: it is not held to what was promised later.
func (x *installation) replace(m *machine, binary, kind string) {
	m.taken.Lock()
	defer m.taken.Unlock()
	drained := judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: judge.Drained}
	m.drain()
	if m.since.Kind != "" {
		m.since.Until = now()
		x.history.record(m.since)
	}
	m.since = judge.Record{Type: judge.Fault, At: drained.At, Of: m.name, Kind: kind}
	m.become(binary)
	m.start()
	drained.Until = now()
	x.history.record(drained)
}

// lastRelease builds the last release, and returns its path.
func lastRelease(t *testing.T) string {
	commit, err := os.ReadFile("../../cmd/registry-worker/testdata/last-release")
	require.NoError(t, err)
	return emulatortest.Release(t, strings.TrimSpace(string(commit)))
}

// fill has an export, and a replay's checkpoint, written to a disk that is full.
func (x *installation) fill(ctx context.Context, every time.Duration) {
	disk := filepath.Join(x.dir, "disk")
	if err := os.MkdirAll(disk, 0o700); err != nil {
		x.t.Errorf("%v", err)
		return
	}
	file := filepath.Join(disk, "owners.ndjson")
	const mounted = `mount -t tmpfs -o size=8k tmpfs "$1" && shift && exec "$@"`
	for ctx.Err() == nil {
		sleep(ctx, every)
		cmd := exec.CommandContext(context.Background(), "unshare", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", disk,
			x.binary, "export", "--output", file)
		cmd.Env = append(os.Environ(), append(x.project.Environ(), "REGISTRY_LOG_FORMAT=text")...)
		r := judge.Record{Type: judge.Fault, At: now(), Of: "operator", Kind: diskFull}
		out, err := cmd.CombinedOutput()
		r.Until = now()
		switch {
		case strings.Contains(string(out), "no space left on device") && err == nil:
			x.t.Errorf("export --output to a full disk ended with 0: %s", out)
		case strings.Contains(string(out), "no space left on device"):
			x.history.record(r)
		}
	}
}
