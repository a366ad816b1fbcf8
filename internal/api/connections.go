package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// reserve is the number of connections above Options.MaxConnections that are
// accepted too, and may ask for health alone, once each.
const reserve = 16

// bounded is a listener that accepts no more than most connections and the reserve.
// A newcomer above that takes the place of an idle one (idle.go); if none is, it has
// to wait in the system's queue. (golang.org/x/net/netutil.LimitListener knows
// no reserve, and hides CloseWrite, without which net/http resets clients that it
// refuses while they send.)
type bounded struct {
	net.Listener
	most   int
	slots  chan struct{} // one for each connection that is open
	closed chan struct{}
	close  func() error
	log    *observe.LimitedLog

	mu    sync.Mutex
	conns map[*counted]struct{} // those that are open, without the reserve
}

func bound(l net.Listener, most int, logger *slog.Logger) *bounded {
	b := &bounded{
		Listener: l, most: most, slots: make(chan struct{}, most+reserve), closed: make(chan struct{}),
		log: newRoomLog(logger), conns: map[*counted]struct{}{},
	}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return b.admit(c), nil
}

// admit counts a connection that was accepted, and makes room for it.
func (b *bounded) admit(conn net.Conn) *counted {
	c := &counted{Conn: conn, spare: len(b.slots) > b.most && !b.closeIdle()}
	c.release = sync.OnceFunc(func() {
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
		<-b.slots
	})
	if !c.spare {
		b.mu.Lock()
		b.conns[c] = struct{}{}
		b.mu.Unlock()
	}
	return c
}

func (b *bounded) Close() error { return b.close() }

// ListenConfig makes the listeners for Serve. They have no multipath TCP, which Go
// asks for since 1.24 and no balancer speaks: its sockets take no filter.
func ListenConfig() *net.ListenConfig {
	c := &net.ListenConfig{}
	c.SetMultipathTCP(false)
	return c
}

// handshake is enough for a connection that is being made to be there.
const handshake = 50 * time.Millisecond

// leave closes the listener once all that was taken for it is accepted, or the
// context ends. A system resets the connections that wait when a listener is closed.
// A client that has sent a request over one cannot know that nobody read it, and must
// not repeat it.
func (b *bounded) leave(ctx context.Context) {
	defer b.Close()
	if dropNewcomers(b.Listener) != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(handshake):
		}
		if n, err := waiting(b.Listener); err != nil || n == 0 {
			return
		}
	}
}

// counted is a connection that has a slot until it is closed.
type counted struct {
	net.Conn
	spare   bool        // it came when the others were in use
	busy    atomic.Bool // as of the last busy.note
	release func()

	idleSince   atomic.Int64 // in Unix nanoseconds; 0 while a request is in progress, or before the first
	read, http2 bool         // for Read alone, which net/http never calls twice at once
}

func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite is for net/http.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

type connKey struct{}

// withConn lets requests know their connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// isSpare reports whether a request came over a connection from the reserve.
func isSpare(ctx context.Context) bool {
	c, ok := ctx.Value(connKey{}).(*counted)
	return ok && c.spare
}

// narrow makes the system buffer little of what a client does not read, so that
// this is noticed. Streams of HTTP/2 share a connection, and have windows.
func narrow(r *http.Request) {
	const room = 8 << 10
	if c, ok := r.Context().Value(connKey{}).(*counted); ok && r.ProtoMajor == 1 {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(room) // otherwise it is noticed later
		}
	}
}

type drainKey struct{}

// withDrain lets requests know when their server drains. Draining ends no request.
func withDrain(ctx, drain context.Context) context.Context {
	return context.WithValue(ctx, drainKey{}, drain)
}

// drainOf returns a context that ends when the request's server drains.
func drainOf(r *http.Request) context.Context {
	if drain, ok := r.Context().Value(drainKey{}).(context.Context); ok {
		return drain
	}
	return context.Background()
}

// busy counts the connections on which a request is in progress or about to come.
// Shutdown answers what is in progress, but drops a request that arrives just after
// the call. So it is called only once there are none.
type busy struct{ conns atomic.Int64 }

// note is an http.Server's ConnState, of connections that bounded has accepted. It
// is called several times for each request, so it takes no lock.
func (b *busy) note(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*counted)
	if !ok {
		return
	}
	c.noteIdle(state)
	now := state == http.StateNew || state == http.StateActive
	switch was := c.busy.Swap(now); {
	case now && !was:
		b.conns.Add(1)
	case was && !now:
		b.conns.Add(-1)
	}
}

func (b *busy) none() bool { return b.conns.Load() == 0 }

// wait returns when there are none, or ctx has ended. A new connection without a
// request ends by ReadHeaderTimeout.
func (b *busy) wait(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !b.none() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
