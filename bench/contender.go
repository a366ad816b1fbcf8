package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator"
)

// contender is a program that consumes.
type contender struct {
	name    string
	command []string // without what the stage adds
	peer    bool     // this program, as a peer
	foreign bool     // neither the probe nor ours
}

// contenders are the compared ones, in the order of the tables. The worker has
// its defaults.
func (b *bench) contenders() []contender {
	return []contender{
		{name: "probe", command: []string{b.self, "peer", "-name", "probe"}, peer: true},
		b.worker(),
		{name: "transaction", command: []string{b.self, "peer", "-name", "transaction"}, peer: true, foreign: true},
		{name: "watermill", command: []string{b.self, "peer", "-name", "watermill"}, peer: true, foreign: true},
	}
}

func (b *bench) worker(flags ...string) contender {
	return contender{name: "worker", command: append([]string{b.program, "run", "--listen", "127.0.0.1:0", "--log-format", "json"}, flags...)}
}

// servers are what the suite serve compares.
func (b *bench) servers() []contender {
	return []contender{
		{name: "bare", command: []string{b.self, "peer", "-name", "bare"}, peer: true},
		{name: "serve", command: []string{b.program, "serve", "--listen", "127.0.0.1:0", "--log-format", "json"}},
	}
}

// process is a contender that runs.
type process struct {
	name    string
	cmd     *exec.Cmd
	address string
	url     string
	output  *tail
	ended   chan struct{}
}

// start starts a contender on a stage and waits until it says where it listens.
// emulators, as KEY=value, are the addresses that it gets; a proxy may be in
// between.
func (c contender) start(s *stage, emulators []string, flags ...string) (*process, error) {
	args := append(append([]string{}, c.command[1:]...), flags...)
	if c.peer {
		args = append(args, "-project", s.project, "-subscriptions", strings.Join(subscriptions, ","))
	}
	cmd := exec.Command(c.command[0], args...)
	// All consume the same: an idle stream costs the emulator a thread that wakes up often.
	cmd.Env = append(append(os.Environ(), "GOOGLE_CLOUD_PROJECT="+s.project, "REGISTRY_SUBSCRIPTIONS="+strings.Join(subscriptions, ",")), emulators...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{name: c.name, cmd: cmd, output: &tail{}, ended: make(chan struct{})}
	address := make(chan string, 1)
	go func() {
		listen(stderr, p.output, address)
		_ = cmd.Wait()
		close(p.ended)
	}()
	select {
	case a := <-address:
		p.address, p.url = a, "http://"+a+"/metrics"
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended at once:\n%s", c.name, p.output)
	case <-time.After(30 * time.Second):
		return nil, errors.Join(fmt.Errorf("%s does not listen:\n%s", c.name, p.output), p.stop())
	}
}

// listen reads the log of a contender, keeps its end, and returns the address.
func listen(log io.Reader, keep io.Writer, address chan<- string) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = keep.Write(append(bytes.Clone(lines.Bytes()), '\n'))
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			address <- line.Address
		}
	}
	_, _ = io.Copy(io.Discard, log)
}

// settled is how many messages the contender has acknowledged. If some were
// refused, that is an error: no workload has any that should be.
func (p *process) settled(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", p.name, err, p.output)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	total := 0
	for line := range strings.Lines(string(body)) {
		labels, ok := strings.CutPrefix(line, "registry_events_total{")
		if !ok {
			continue
		}
		labels, value, _ := strings.Cut(labels, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q: %w", p.name, line, err)
		}
		if strings.Contains(labels, `outcome="refused"`) && n > 0 {
			return 0, fmt.Errorf("%s refused %v messages:\n%s", p.name, n, p.output)
		}
		if !strings.Contains(labels, `outcome="transient"`) {
			total += int(n)
		}
	}
	return total, nil
}

// peakRSS is the most memory, in bytes, that the process has had.
func (p *process) peakRSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc")
}

// cpu is what the process has used; it must have been stopped.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// emulatorsCPU is what both emulators have used so far, to 10 ms; 0 if it
// cannot be known.
func (b *bench) emulatorsCPU() time.Duration {
	const tick = time.Second / 100 // USER_HZ of every Linux that Go runs on
	var sum time.Duration
	for _, e := range []*emulator.Emulator{b.emulators.Firestore, b.emulators.PubSub} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.PID()))
		if err != nil {
			return 0
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold spaces
		fields := strings.Fields(rest)
		for _, i := range []int{11, 12} { // utime and stime, proc(5)
			ticks, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				return 0
			}
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}

// stop drains the contender, and kills one that does not end.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.ended
	return nil
}

// tail keeps the last bytes written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - most; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
