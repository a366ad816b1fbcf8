package emulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// supervised runs a command that does not outlive its owner. Standard input is
// a pipe whose other end only the owner holds: when the owner ends, by whatever
// means, the watchdog reads the end of file and kills its process group, which
// is the command, the command's children, and itself. The group is a session of
// its own, so that Ctrl-C in the owner's terminal is the owner's to handle.
//
// It needs nothing beyond a POSIX shell, and no moment passes in which the
// command runs unwatched.
const supervised = `exec 3<&0 </dev/null
(read -r _ <&3; kill -KILL 0) &
exec "$@" 3<&-`

type process struct {
	cmd      *exec.Cmd
	output   *tail
	lifeline *os.File
	cut      sync.Once
	done     chan struct{} // closed when the command has ended
	gone     chan struct{} // closed when its whole group has ended too
}

func launch(command, env []string) (*process, error) {
	watched, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = watched.Close() }()
	printed, output, err := os.Pipe()
	if err != nil {
		_ = lifeline.Close()
		return nil, err
	}
	defer func() { _ = output.Close() }()

	p := &process{output: &tail{}, lifeline: lifeline, done: make(chan struct{}), gone: make(chan struct{})}
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", supervised, "supervised"}, command...)...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = watched, output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, lifeline.Close(), printed.Close())
	}
	go func() {
		// All of the group hold the output open: its end is theirs. (Asking
		// for the group's number would not do: it stays taken until somebody
		// has waited for the dead, and in a container that may be nobody.)
		_, _ = io.Copy(p.output, printed)
		_ = printed.Close()
		close(p.gone)
	}()
	go func() {
		_ = p.cmd.Wait()
		p.kill() // what the command left behind
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

func (p *process) kill() { p.cut.Do(func() { _ = p.lifeline.Close() }) }

// goneWithin bounds how long a killed process may take to go.
const goneWithin = 10 * time.Second

// stop kills the group and waits until it is gone.
func (p *process) stop() error {
	p.kill()
	deadline := time.After(goneWithin)
	for _, ended := range []chan struct{}{p.done, p.gone} {
		select {
		case <-ended:
		case <-deadline:
			return fmt.Errorf("process group %d still runs %v after it was killed", p.pid(), goneWithin)
		}
	}
	return nil
}

// tail keeps the last that was written.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytes = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
