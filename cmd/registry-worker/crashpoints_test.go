package main

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/crashpoints"
)

// killable is a command that is killed at each of its effects, and called again.
type killable struct {
	name   string
	before func(c program)
	// args are those of the command.
	args func(c program) []string
	// service: it does not end by itself, and is started once more; other commands are
	// called, and succeed, until holds holds.
	service bool
	// holds is what must be so at the end.
	holds func(c program) bool
}

// enumerate kills the command at every point, and returns how many there were. A
// process of its own is killed by SIGKILL: package crashpoints has the same within this
// process, for everything that has many points.
func (k killable) enumerate(t *testing.T) int {
	return crashpoints.Abreast(3, func(at crashpoints.Point) (reached bool) {
		if !t.Run(at.String(), func(t *testing.T) { reached = k.killedAt(t, at) }) {
			return false
		}
		return reached
	})
}

func (k killable) killedAt(t *testing.T, at crashpoints.Point) (reached bool) {
	c := onEmulators(t)
	if k.before != nil {
		k.before(c)
	}
	args := k.args(c)
	process, started := crashpoints.New(at), make(chan *emulatortest.Process, 1)
	kill := sync.OnceFunc(func() {
		p := <-started
		p.Kill()
		<-p.Done()
	})
	through := func(host string) string {
		proxy, err := wire.NewProxy(host, process.DialOptions(kill)...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = proxy.Close() })
		return proxy.Addr()
	}
	doomed := c
	doomed.env = []string{"FIRESTORE_EMULATOR_HOST=" + through(c.project.FirestoreHost), "PUBSUB_EMULATOR_HOST=" + through(c.project.PubSubHost)}
	p := doomed.start(args...)
	started <- p
	if k.service {
		for !k.holds(c) && process.Context().Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
		if process.Context().Err() == nil {
			p.Signal(syscall.SIGTERM) // in which it may be killed too
		}
	}
	code := p.Wait(time.Minute)
	what, reached := process.Reached()
	if !reached {
		require.Equal(t, exitDone, code, "%s", p.Stderr)
		require.True(t, k.holds(c), "without a kill")
		return false
	}
	require.Equal(t, 128+int(syscall.SIGKILL), code, "killed at %s", what)
	if k.service {
		c.start(args...)
	}
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if !k.service {
			c.run(exitDone, args...)
		}
		if k.holds(c) {
			return true
		}
		require.True(t, time.Now().Before(until), "killed at %s (%v)", what, at)
	}
}

// The others are in TestProofThatACommandThatIsKilledAtAnyPointIsDoneOnceAfterAll.
func TestARetractionThatIsKilledAtAnyPointIsMadeOnceAfterAll(t *testing.T) {
	t.Parallel()
	points := retracting.enumerate(t)
	require.Positive(t, points)
	t.Logf("%d points", points)
}

var retracting = killable{
	name: "moves retract",
	before: func(c program) {
		c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"))
	},
	args: func(program) []string {
		return []string{"moves", "retract", "m", "--yes", "--by", "alice", "--reason", "wrong"}
	},
	holds: func(c program) bool {
		m := c.rewriting()["m"] // the call that is repeated says the same
		return m.Retracted && m.RetractedBy == "alice" && len(m.Retractions) == 1
	},
}
