package api

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// newcomers is a filter for packets to a socket, as of the header of TCP: it drops
// the first one of each new connection, and passes all others.
var newcomers = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the byte of flags
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0}, // none of it
	{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
}

const syn, ack = 0x02, 0x10

// dropNewcomers has the system take no further connection for a listener, and keep
// those that it has taken until they are accepted. A client sees it as a lost packet:
// its system tries again a second later.
func dropNewcomers(l net.Listener) error {
	return control(l, func(fd int) error {
		program := unix.SockFprog{Len: uint16(len(newcomers)), Filter: &newcomers[0]}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}

// waiting is how many connections the system has taken that are not accepted yet,
// which for a listener is what tcp(7) calls tcpi_unacked.
func waiting(l net.Listener) (n int, err error) {
	err = control(l, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		if err == nil {
			n = int(info.Unacked)
		}
		return err
	})
	return n, err
}

func control(l net.Listener, do func(fd int) error) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("a listener of %T is not one of TCP", l)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
