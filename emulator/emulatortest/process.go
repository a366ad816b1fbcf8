package emulatortest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator"
)

// A Process is a program that runs beside the test, and is killed at the test's end
// if it still runs.
type Process struct {
	Stdout, Stderr *Output

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	code int // once done is closed
}

// Run starts a program with the test's environment plus env (KEY=value, later
// ones win). What it printed is logged if the test fails.
func Run(t testing.TB, env []string, program string, args ...string) *Process {
	t.Helper()
	p := &Process{Stdout: newOutput(), Stderr: newOutput(), t: t, done: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.Stdout, p.Stderr
	p.cmd.WaitDelay = time.Second               // for children that keep the output open
	end, err := emulator.StartSupervised(p.cmd) // otherwise a stopped program would outlive a test that is killed
	if err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		_ = p.cmd.Wait()
		end()
		p.code = exitCode(p.cmd.ProcessState)
		p.Stdout.end()
		p.Stderr.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %s: exit code %d\nstdout:\n%s\nstderr:\n%s", program, strings.Join(args, " "), p.code, p.Stdout, p.Stderr)
		}
	})
	return p
}

// exitCode returns the exit code as a shell does: 128 + signal if a signal ended
// the program.
func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// Program returns the path of a program that the test needs. If it is not
// installed the test is skipped, and fails in CI (CI=true).
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		NotInstalled(t, err)
	}
	return path
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the program has ended and all its
// output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal. It is not an error if the program has ended already.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v to process %d: %v", s, p.PID(), err)
	}
}

// Kill is Signal with SIGKILL.
func (p *Process) Kill() { p.t.Helper(); p.Signal(os.Kill) }

// Wait waits until the program ends, and returns its exit code: 128 + signal
// if a signal ended it. The test fails if that takes longer than within.
func (p *Process) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.code
	case <-time.After(within):
		p.t.Fatalf("process %d still runs after %v", p.PID(), within)
		return 0
	}
}

// AwaitLine waits for a line that contains the text, on either output, and returns
// it. The test fails if none comes within the time, or the program ends first.
// Lines printed before the call count.
func (p *Process) AwaitLine(text string, within time.Duration) string {
	p.t.Helper()
	deadline := time.After(within)
	for {
		ended := isClosed(p.done)
		outMore, errMore := p.Stdout.changed(), p.Stderr.changed()
		for _, o := range []*Output{p.Stdout, p.Stderr} {
			if line, ok := o.line(text); ok {
				return line
			}
		}
		if ended {
			p.t.Fatalf("the program ended, with %d, before it printed %q", p.code, text)
		}
		select {
		case <-outMore:
		case <-errMore:
		case <-p.done:
		case <-deadline:
			p.t.Fatalf("no line with %q within %v", text, within)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Output is what a program has printed so far.
type Output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	more  chan struct{} // closed and replaced with every write
	ended bool
}

func newOutput() *Output { return &Output{more: make(chan struct{})} }

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.buf.Write(b)
}

// String returns all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Lines returns its lines.
func (o *Output) Lines() []string {
	return strings.Split(strings.TrimSuffix(o.String(), "\n"), "\n")
}

func (o *Output) changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.more
}

func (o *Output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}

// line returns the first complete line that contains the text.
func (o *Output) line(text string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest := o.buf.String()
	for rest != "" {
		line, after, whole := strings.Cut(rest, "\n")
		if (whole || o.ended) && strings.Contains(line, text) {
			return line, true
		}
		rest = after
	}
	return "", false
}

var _ fmt.Stringer = (*Output)(nil)
