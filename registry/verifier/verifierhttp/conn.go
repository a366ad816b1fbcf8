package verifierhttp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// conn is a connection that a handler has hijacked. When the claim is lost, a
// WebSocket's client gets a close frame, and the connection is closed. If the
// handler forgets the connection, it is closed when it is garbage-collected.
type conn struct{ *link }

func newConn(l *link) *conn {
	c := &conn{l}
	runtime.AddCleanup(c, (*link).close, l)
	return c
}

// Read is link.Read.
func (c *conn) Read(b []byte) (int, error) {
	defer runtime.KeepAlive(c) // not collected while it reads
	return c.link.Read(b)
}

// Write is link.Write.
func (c *conn) Write(b []byte) (int, error) {
	defer runtime.KeepAlive(c)
	return c.link.Write(b)
}

// link is the guard's part of a conn. It has no pointer to the conn, so that a conn
// which its handler has forgotten can be collected.
type link struct {
	raw       net.Conn
	websocket bool
	end       func() // of the watching

	writing turn // held by each Write, so that the close frame is between two
	torn    bool // a Write was cut short; belongs to the holder of the turn

	mu    sync.Mutex // held briefly, never while waiting
	cause error
}

func (l *link) lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Write fails with the cause once the claim is lost.
func (l *link) Write(b []byte) (int, error) {
	l.writing.take()
	defer l.writing.release()
	if cause := l.lost(); cause != nil {
		return 0, cause
	}
	n, err := l.raw.Write(b)
	l.torn = l.torn || n < len(b)
	return n, l.after(err, err != nil)
}

// Read fails with the cause once the claim is lost, and returns nothing that
// arrived later.
func (l *link) Read(b []byte) (int, error) {
	if cause := l.lost(); cause != nil {
		return 0, cause
	}
	n, err := l.raw.Read(b)
	if cause := l.lost(); cause != nil {
		return 0, cause
	}
	// A WebSocket that the client has half closed is over; other connections may
	// still be written to.
	return n, l.after(err, l.websocket || !errors.Is(err, io.EOF))
}

// after returns the error of an operation: the cause, if the claim was lost. It
// closes a broken connection, in case the handler forgets to, and ends its
// watching.
func (l *link) after(err error, broken bool) error {
	if err == nil {
		return nil
	}
	if cause := l.lost(); cause != nil {
		return cause
	}
	if broken && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.close()
	}
	return err
}

// Close closes the connection, and ends its watching.
func (l *link) Close() error {
	l.end()
	return l.raw.Close()
}

func (l *link) close() {
	l.end()
	closeNow(l.raw)
}

// LocalAddr returns the address of the server's end.
func (l *link) LocalAddr() net.Addr { return l.raw.LocalAddr() }

// RemoteAddr returns the address of the client's end.
func (l *link) RemoteAddr() net.Addr { return l.raw.RemoteAddr() }

// SetDeadline works for the handler until the claim is lost; then deadlines are the
// guard's, and it fails with the cause.
func (l *link) SetDeadline(t time.Time) error { return l.ifGood(l.raw.SetDeadline, t) }

// SetReadDeadline is like SetDeadline.
func (l *link) SetReadDeadline(t time.Time) error { return l.ifGood(l.raw.SetReadDeadline, t) }

// SetWriteDeadline is like SetDeadline.
func (l *link) SetWriteDeadline(t time.Time) error { return l.ifGood(l.raw.SetWriteDeadline, t) }

func (l *link) ifGood(set func(time.Time) error, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return set(t)
}

// mark makes every operation of the handler fail with the cause.
func (l *link) mark(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause = cause
}

// lose ends a marked connection, whatever its handler and its client do, and
// returns when that is done.
func (l *link) lose() {
	now := time.Now()
	_ = l.raw.SetWriteDeadline(now.Add(letGo)) // a Write lets go of its turn by then
	_ = l.raw.SetReadDeadline(now)
	defer l.close()
	if !l.writing.within(ended) {
		return
	}
	defer l.writing.release()
	if !l.websocket || l.torn { // after half a frame a close frame would be noise
		return
	}
	if _, err := l.raw.Write(closeFrame(l.lost())); err == nil {
		closeSoon(l.raw, now.Add(ended))
	}
}

// closeFrame is RFC 6455, section 5.5.1: final, opcode 8, not masked, a code and
// a reason, at most 125 bytes.
func closeFrame(cause error) []byte {
	code := uint16(CloseCodeUncertain)
	if errors.Is(cause, ErrLost) {
		code = CloseCodeLost
	}
	text := reason(cause)
	frame := binary.BigEndian.AppendUint16([]byte{0x88, byte(2 + len(text))}, code)
	return append(frame, text...)
}
