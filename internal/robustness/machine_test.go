//go:build proofs

package robustness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// machine is one process of the installation, which is started again and again, with
// links of its own to the emulators. One fault at a time has it.
type machine struct {
	x       *installation
	name    string
	args    []string
	address string
	env     []string
	links   []*wire.Link
	faults  []*wire.Faults

	own string // the binary that it is when nothing is changed

	old atomic.Bool // it is the last release, or about to be another
	up  atomic.Bool // clients may send it requests

	taken sync.Mutex   // by a fault
	since judge.Record // of the release that runs; guarded by taken

	mu     sync.Mutex
	binary string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has
	told   bool          // to end
}

func (x *installation) newMachine(name string, args ...string) *machine {
	m := &machine{x: x, name: name, own: x.binary, binary: x.binary, address: x.addresses[len(x.machines)]}
	m.args = append(args, "--listen", m.address, "--log-level", "warn", "--log-format", "json")
	m.env = append(os.Environ(), "GOOGLE_CLOUD_PROJECT="+x.project.ID, "REGISTRY_SHUTDOWN_DELAY=1s")
	firestore := x.project.FirestoreRules
	m.env = append(m.env, "FIRESTORE_EMULATOR_HOST="+m.behind(firestore.Target(), firestore.DialOptions()))
	pubsub := x.project.PubSubRules
	m.env = append(m.env, "PUBSUB_EMULATOR_HOST="+m.behind(pubsub.Target(), append(x.acks.dialOptions(), pubsub.DialOptions()...)))
	x.machines = append(x.machines, m)
	return m
}

// setApart gives the process a clock that is ahead of the machine's.
func (m *machine) setApart(binary string, seconds int) {
	m.own, m.binary = binary, binary
	m.env = append(m.env, fmt.Sprint(apartVariable, "=", seconds))
	m.x.apart = append(m.x.apart, judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: judge.Apart})
}

// pubsub is what befalls its calls of Pub/Sub.
func (m *machine) pubsub() *wire.Faults { return m.faults[1] }

// become makes another binary of the process, at its next start.
func (m *machine) become(binary string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.binary = binary
}

// behind puts a link and faults before an emulator, and returns the address.
func (m *machine) behind(target string, options []grpc.DialOption) string {
	t := m.x.t
	faults := wire.NewFaults()
	proxy, err := wire.NewProxy(target, append(faults.DialOptions(), options...)...)
	require.NoError(t, err)
	link, err := wire.NewLink(proxy.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = link.Close(); _ = proxy.Close() })
	m.links, m.faults = append(m.links, link), append(m.faults, faults)
	return link.Addr()
}

// start starts the process, and returns when it answers. One that ends by itself is
// started again a second later, as a supervisor does: what cannot reach Pub/Sub or
// Firestore ends at its start.
func (m *machine) start() {
	begun := now()
	cmd, ended := m.launch()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if status, _ := m.get("/nowhere", time.Second); status == http.StatusNotFound {
			break // until it has opened what it needs, it answers health alone
		}
		select {
		case <-ended:
			return
		default:
		}
		if time.Now().After(deadline) {
			m.x.t.Errorf("%s (process %d) does not answer a minute after its start", m.name, cmd.Process.Pid)
			return
		}
	}
	m.x.history.record(
		judge.Record{Type: judge.Fault, At: begun, Until: now(), Of: m.name, Kind: judge.Starting},
		judge.Record{Type: judge.Process, At: now(), Of: m.name, Kind: "ready"},
	)
	m.up.Store(true)
}

func (m *machine) launch() (*exec.Cmd, chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(m.x.dir, m.name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		m.x.t.Fatal(err)
	}
	defer log.Close()
	cmd, ended := exec.Command(m.binary, m.args...), make(chan struct{})
	cmd.Env, cmd.Stdout, cmd.Stderr = m.env, log, log
	m.x.history.record(judge.Record{Type: judge.Process, At: now(), Of: m.name, Kind: "started"})
	end, err := emulator.StartSupervised(cmd)
	if err != nil {
		m.x.t.Fatal(err)
	}
	m.cmd, m.ended, m.told = cmd, ended, false
	go func() {
		_ = cmd.Wait()
		end()
		close(ended)
		m.restart(cmd)
	}()
	return cmd, ended
}

// restart starts the process again if it has ended by itself.
func (m *machine) restart(was *exec.Cmd) {
	left := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.cmd == was && !m.told
	}
	if !left() {
		return
	}
	m.up.Store(false)
	r := judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: judge.Ended, Status: was.ProcessState.ExitCode()}
	time.Sleep(time.Second)
	if left() {
		m.start()
	}
	r.Until = now()
	m.x.history.record(r)
}

// signal sends a signal to the process, if it runs, and says whether it is meant to
// end it.
func (m *machine) signal(s syscall.Signal, toEnd bool) (ended chan struct{}, cmd *exec.Cmd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = m.told || toEnd
	if toEnd {
		m.up.Store(false)
	}
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.x.t.Errorf("%s: %v", m.name, err)
	}
	return m.ended, m.cmd
}

// kill kills the process, and returns when it is gone.
func (m *machine) kill() {
	ended, _ := m.signal(syscall.SIGKILL, true)
	<-ended
}

// drainedWithin is --drain-timeout and the delay before it, and a while for a machine
// that is busy.
const drainedWithin = 45 * time.Second

// drain tells the process to end, and returns when it has. It must end with 0, and in
// time. What it returns is the fault.
func (m *machine) drain() judge.Record {
	fault := judge.Record{Type: judge.Fault, At: now(), Of: m.name, Kind: judge.Drained}
	was := m.up.Load()
	ended, cmd := m.signal(syscall.SIGTERM, true)
	select {
	case <-ended:
		if code := cmd.ProcessState.ExitCode(); code > 0 && was {
			m.x.t.Errorf("%s drained with exit code %d", m.name, code)
		}
	case <-time.After(drainedWithin):
		m.x.t.Errorf("%s has not drained within %v", m.name, drainedWithin)
		m.signal(syscall.SIGKILL, true)
		<-ended
	}
	fault.Until = now()
	return fault
}

// get asks the process itself.
func (m *machine) get(path string, within time.Duration) (status int, body string) {
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(m.url() + path)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, ""
	}
	return answer.StatusCode, string(text)
}

func (m *machine) url() string { return "http://" + m.address }

// sample records what the process uses.
func (m *machine) sample(kind string) {
	_, text := m.get("/metrics", 10*time.Second)
	value := func(name string) int64 {
		for line := range strings.Lines(text) {
			var f float64
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				if _, err := fmt.Sscan(rest, &f); err == nil {
					return int64(f)
				}
			}
		}
		m.x.t.Errorf("%s has no metric %s", m.name, name)
		return 0
	}
	m.x.history.record(judge.Record{
		Type: judge.Sample, At: now(), Of: m.name, Kind: kind,
		Goroutines: value("go_goroutines"), Descriptors: value("process_open_fds"), Bytes: value("process_resident_memory_bytes"),
	})
}
