package wire_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// echo is a server that answers each line with the line.
func echo(t *testing.T) (addr string, heard <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	lines := make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for in := bufio.NewReader(conn); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					lines <- line
					if _, err := io.WriteString(conn, line); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), lines
}

type peer struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{conn, t, bufio.NewReader(conn)}
}

func (p *peer) say(line string) {
	p.t.Helper()
	_, err := io.WriteString(p, line)
	require.NoError(p.t, err)
}

func (p *peer) hear(within time.Duration) (string, error) {
	_ = p.SetReadDeadline(time.Now().Add(within))
	return p.in.ReadString('\n')
}

func (p *peer) requireHears(line string) {
	p.t.Helper()
	got, err := p.hear(awaitDone)
	require.NoError(p.t, err)
	require.Equal(p.t, line, got)
}

// requireSilence waits a moment for something that must not come.
func (p *peer) requireSilence() {
	p.t.Helper()
	_, err := p.hear(50 * time.Millisecond)
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded)
}

func (p *peer) requireReset() {
	p.t.Helper()
	_, err := p.hear(awaitDone)
	require.Error(p.t, err)
	require.False(p.t, errors.Is(err, os.ErrDeadlineExceeded), "the connection is still open")
}

// requireRefused dials: the reset may come before the dial returns, or after.
func requireRefused(t *testing.T, link *wire.Link) {
	t.Helper()
	conn, err := net.Dial("tcp", link.Addr())
	if err != nil {
		return
	}
	(&peer{conn, t, bufio.NewReader(conn)}).requireReset()
	require.NoError(t, conn.Close())
}

func newLink(t *testing.T, target string) *wire.Link {
	t.Helper()
	link, err := wire.NewLink(target)
	require.NoError(t, err)
	t.Cleanup(func() { _ = link.Close() })
	return link
}

func TestALinkCarriesBytesBothWays(t *testing.T) {
	server, _ := echo(t)
	p := dial(t, newLink(t, server).Addr())
	p.say("one\n")
	p.requireHears("one\n")
	p.say("two\nthree\n")
	p.requireHears("two\n")
	p.requireHears("three\n")
}

func TestDelayedBytesArriveLaterAndInOrder(t *testing.T) {
	server, _ := echo(t)
	link := newLink(t, server)
	p := dial(t, link.Addr())
	const delay = 60 * time.Millisecond
	link.Delay(delay)
	sent := time.Now()
	for range 50 {
		p.say("x\n")
	}
	p.say("last\n")
	for range 50 {
		p.requireHears("x\n")
	}
	p.requireHears("last\n")
	require.GreaterOrEqual(t, time.Since(sent), 2*delay, "once each way")
	require.Less(t, time.Since(sent), 50*delay, "the delay is not per message")
}

func TestACutResetsWhatIsOpenAndAcceptsWhatIsNew(t *testing.T) {
	server, _ := echo(t)
	link := newLink(t, server)
	p := dial(t, link.Addr())
	p.say("one\n")
	p.requireHears("one\n")
	link.Cut()
	p.requireReset()

	p = dial(t, link.Addr())
	p.say("two\n")
	p.requireHears("two\n")
}

func TestARefusingLinkTakesNoConnectionUntilItIsRestored(t *testing.T) {
	server, _ := echo(t)
	link := newLink(t, server)
	open := dial(t, link.Addr())
	open.say("one\n")
	open.requireHears("one\n")
	link.Refuse()
	open.requireReset()
	requireRefused(t, link)

	link.Restore()
	p := dial(t, link.Addr())
	p.say("two\n")
	p.requireHears("two\n")
}

func TestInABlackHoleConnectionsStayAndNothingPasses(t *testing.T) {
	server, heard := echo(t)
	link := newLink(t, server)
	open := dial(t, link.Addr())
	open.say("one\n")
	open.requireHears("one\n")
	<-heard
	link.Blackhole()
	late := dial(t, link.Addr())
	for _, p := range []*peer{open, late} {
		p.say("two\n")
		p.requireSilence()
	}
	require.Empty(t, heard)

	link.Restore()
	open.requireHears("two\n")
	late.requireHears("two\n")
}

func TestOnAHalfOpenLinkRequestsAreDoneAndAnswersDoNotCome(t *testing.T) {
	server, heard := echo(t)
	link := newLink(t, server)
	p := dial(t, link.Addr())
	link.HalfOpen()
	p.say("one\n")
	require.Equal(t, "one\n", <-heard)
	p.requireSilence()
	link.Restore()
	p.requireHears("one\n")
}

func TestALinkInABlackHoleCanBeCutAndClosed(t *testing.T) {
	server, _ := echo(t)
	link := newLink(t, server)
	link.Blackhole()
	p := dial(t, link.Addr())
	p.say("one\n")
	p.requireSilence()
	link.Cut()
	p.requireReset()

	p = dial(t, link.Addr())
	p.say("two\n")
	p.requireSilence()
	require.NoError(t, link.Close())
	p.requireReset()
	_, err := net.Dial("tcp", link.Addr())
	require.Error(t, err)
}

func TestALinkToNowhereResetsItsClients(t *testing.T) {
	link := newLink(t, "127.0.0.1:1")
	requireRefused(t, link)
}
