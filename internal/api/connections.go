package api

import (
	"context"
	"errors"
	"net"
	"sync"
)

// reserve is the number of connections above Options.MaxConnections that are
// accepted all the same, and answered about health alone, once each.
const reserve = 16

// bounded is a listener that accepts no more than most connections and the reserve;
// more wait in the system's queue. (golang.org/x/net/netutil.LimitListener knows
// no reserve, and hides CloseWrite, without which net/http resets clients that it
// refuses while they send.)
type bounded struct {
	net.Listener
	most   int
	slots  chan struct{} // one for each connection that is open
	closed chan struct{}
	close  func() error
}

func bound(l net.Listener, most int) *bounded {
	b := &bounded{Listener: l, most: most, slots: make(chan struct{}, most+reserve), closed: make(chan struct{})}
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
	return &counted{Conn: c, spare: len(b.slots) > b.most, release: sync.OnceFunc(func() { <-b.slots })}, nil
}

func (b *bounded) Close() error { return b.close() }

// counted is a connection that has a slot until it is closed.
type counted struct {
	net.Conn
	spare   bool // it came when there were enough
	release func()
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

type spareKey struct{}

// withSpare marks the requests of a connection from the reserve.
func withSpare(ctx context.Context, c net.Conn) context.Context {
	if counted, ok := c.(*counted); ok && counted.spare {
		return context.WithValue(ctx, spareKey{}, true)
	}
	return ctx
}

func isSpare(ctx context.Context) bool { return ctx.Value(spareKey{}) != nil }
