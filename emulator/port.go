package emulator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/northstar-engines/realtime-registry/emulator/internal/privatedir"
)

// reservation is a port that was free, and that no other owner of emulators takes
// until it is released. The emulators take no socket from their parent and do not
// say which port they got, so for a moment no process holds the port. The lock
// keeps another owner from choosing it in that moment and taking our emulator for
// its own.
type reservation struct {
	number string
	lock   *os.File
}

func reservePort() (*reservation, error) {
	dir, err := privatedir.Make("ports")
	if err != nil {
		return nil, err
	}
	for {
		number, err := freePort()
		if err != nil {
			return nil, err
		}
		lock, err := os.OpenFile(filepath.Join(dir, number), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &reservation{number: number, lock: lock}, nil
		}
		_ = lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock port %s: %w", number, err)
		}
	}
}

// release releases the port. By then the emulator listens, or has ended.
func (r *reservation) release() {
	_ = os.Remove(r.lock.Name())
	_ = r.lock.Close()
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return strconv.Itoa(port), l.Close()
}
