package main

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// session is the program on a terminal of its own.
type session struct {
	t    *testing.T
	tty  *os.File // our end
	name string   // its end
	done chan int // the exit code

	mu     sync.Mutex
	screen strings.Builder
	more   chan struct{} // closed and replaced with all that is printed
}

// onTerminal starts the program with a terminal for all that it reads and
// writes.
func onTerminal(t *testing.T, env []string, args ...string) *session {
	t.Helper()
	ours, theirs := openTerminal(t)
	defer theirs.Close()
	s := &session{t: t, tty: ours, name: theirs.Name(), done: make(chan int, 1), more: make(chan struct{})}
	cmd := exec.Command(emulatortest.Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	watched := make(chan struct{})
	go func() { s.watch(); close(watched) }()
	go func() {
		_ = cmd.Wait()
		<-watched // all that it printed is here
		s.done <- cmd.ProcessState.ExitCode()
	}()
	return s
}

func (s *session) watch() {
	for buf := make([]byte, 4096); ; {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		s.screen.Write(buf[:n])
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return // the program has ended
		}
	}
}

func (s *session) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.screen.String()
}

// await waits until the terminal shows the text.
func (s *session) await(text string) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		shown, more := s.screen.String(), s.more
		s.mu.Unlock()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			s.t.Fatalf("no %q on the terminal:\n%s", text, shown)
		}
	}
}

// keys types.
func (s *session) keys(text string) {
	s.t.Helper()
	_, err := s.tty.WriteString(text)
	require.NoError(s.t, err)
}

// awaitRead waits until the program has read what was typed.
func (s *session) awaitRead() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		its, err := os.OpenFile(s.name, os.O_RDWR|syscall.O_NOCTTY, 0)
		require.NoError(s.t, err)
		defer its.Close()
		return unread(s.t, its) == 0
	}, 30*time.Second, 10*time.Millisecond)
}

const ctrlC = "\x03"

func (s *session) exits(code int) {
	s.t.Helper()
	select {
	case got := <-s.done:
		require.Equal(s.t, code, got, s.text())
	case <-time.After(30 * time.Second):
		s.t.Fatalf("it still runs:\n%s", s.text())
	}
}

func TestAQuestionNamesItsTargetAndTheFirstCtrlCEndsIt(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	bus := "project " + c.project.ID + ", emulator at " + c.project.PubSubHost
	env := append(c.project.Environ(), "FIRESTORE_EMULATOR_HOST=")
	s := onTerminal(t, env, "replay", "--since", "1h", "--without-log")
	s.await("Type yes to go on")
	require.True(t, strings.HasPrefix(s.text(), "writing to "+bus+"\r\n"), s.text())
	require.Contains(t, s.text(), bus+": bring this back?")
	s.keys(ctrlC)
	s.exits(exitFault)
	require.Contains(t, s.text(), "interrupted; nothing was changed")

	s = onTerminal(t, c.project.Environ(), "replay", "--since", "1h", "--into-empty")
	s.await("project " + c.project.ID + ", database (default), emulator at " + c.project.FirestoreHost + ": bring this back?")
	require.Contains(t, s.text(), "NO WORKER has said within 3m0s that it runs with project "+c.project.ID+", database (default)")
	require.Contains(t, s.text(), "What was published before and still waits is DROPPED: if any does, give an earlier time.")
	require.Contains(t, s.text(), "A worker with another database would take some of them")
	s.keys("y\n")
	s.exits(exitFault)
	require.Contains(t, s.text(), "not confirmed, since the answer was y and not yes; nothing was changed")

	s = onTerminal(t, env, "replay", "--since", "1h", "--without-log")
	s.await("Type yes to go on")
	s.keys("\x04") // the end of the input
	s.exits(exitFault)
	require.Contains(t, s.text(), "--yes): \r\nregistry-worker: replay: not confirmed; nothing was changed", "on a line of its own")
}

func TestTheFirstCtrlCEndsAReadOfStandardInput(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	for _, args := range [][]string{{"publish", "-"}, {"replay", "--yes", "-"}} {
		s := onTerminal(t, c.project.Environ(), args...)
		s.await("writing to project " + c.project.ID)
		s.keys(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1") + "\n")
		s.await("th_1") // the echo: it is typed
		s.awaitRead()
		s.keys(ctrlC)
		s.exits(exitFault)
		require.Contains(t, s.text(), "interrupted", args)
	}
}

func TestWithoutATerminalNothingIsAskedAndNothingDone(t *testing.T) {
	for _, args := range []string{"replay --since 1h", "moves retract m", "quota reset t_a x", "upgrade", "recover", "dead-letters redrive", "dead-letters purge"} {
		r := call(t, nil, append(strings.Fields(args), "--project", "p-1")...)
		require.Equal(t, exitUsage, r.code, r.stderr)
		require.Contains(t, r.stderr, "standard input is no terminal: give --yes", args)
	}
}
