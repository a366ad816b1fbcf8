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
// those that it has taken until they are accepted. To whoever connects it is as if
// packets were lost: their system tries again a second later.
func dropNewcomers(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("a listener of %T takes no filter", l)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(newcomers)), Filter: &newcomers[0]}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	}); err != nil {
		return err
	}
	return failed
}
