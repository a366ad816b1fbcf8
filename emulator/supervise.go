package emulator

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// supervised runs a command that does not outlive its owner. Standard input is
// a pipe whose other end only the owner holds: when the owner ends, by whatever
// means, the watchdog reads the end of file and kills its process group, which
// is the command, the command's children, and itself. The group is a session of
// its own, so that Ctrl-C in the owner's terminal is the owner's to handle. The
// watchdog does not hold the command's output open.
//
// It needs only a POSIX shell, and the command never runs unwatched.
const supervised = `exec 3<&0 </dev/null
(read -r _ <&3; kill -KILL 0) >/dev/null 2>&1 &
exec "$@" 3<&-`

// StartSupervised starts a command that does not outlive this process, even if
// the command is stopped then and this process is killed. Its standard input is
// empty. end kills the command and all its children, and must be called once the
// command has ended by itself, too; it may be called more than once.
func StartSupervised(cmd *exec.Cmd) (end func(), err error) {
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	watched, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = watched.Close() }()
	cmd.Args = append([]string{"/bin/sh", "-c", supervised, "supervised", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Stdin = watched
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, lifeline.Close())
	}
	return sync.OnceFunc(func() { _ = lifeline.Close() }), nil
}
