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

type process struct {
	cmd    *exec.Cmd
	output *tail
	kill   func()        // kills the group
	done   chan struct{} // closed when the command has ended
	gone   chan struct{} // closed when its whole group has ended too
}

func launch(command, env []string) (*process, error) {
	printed, output, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()

	p := &process{output: &tail{}, done: make(chan struct{}), gone: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	if p.kill, err = StartSupervised(p.cmd); err != nil {
		return nil, errors.Join(err, printed.Close())
	}
	go func() {
		// Every process of the group keeps the output open, so its end is the end
		// of the group. (The group's number would not tell: it stays in use until a
		// parent has waited for the dead, and in a container there may be none that
		// does.)
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

// tail keeps the last bytes written to it.
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
