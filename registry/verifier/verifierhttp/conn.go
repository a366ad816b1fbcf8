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

// conn is a connection that a handler took over. When the claim is lost its
// client is told by a close frame, if it is a WebSocket, and it is closed.
// One that the handler forgets is closed when it is collected.
type conn struct{ *link }

func newConn(l *link) *conn {
	c := &conn{l}
	runtime.AddCleanup(c, (*link).close, l)
	return c
}

// Read is the link's.
func (c *conn) Read(b []byte) (int, error) {
	defer runtime.KeepAlive(c) // it is not forgotten while it reads
	return c.link.Read(b)
}

// Write is the link's.
func (c *conn) Write(b []byte) (int, error) {
	defer runtime.KeepAlive(c)
	return c.link.Write(b)
}

// link is what the guard knows of a conn. It does not know the conn itself, so
// that one which its handler has forgotten can be collected.
type link struct {
	raw       net.Conn
	websocket bool
	end       func() // of the watching

	writing turn // held by each Write, so that the close frame is between two
	torn    bool // a Write was cut short; belongs to the holder of the turn

	mu    sync.Mutex // held for moments, never while anything waits
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

// Read fails with the cause once the claim is lost, and hands out nothing that
// came in later.
func (l *link) Read(b []byte) (int, error) {
	if cause := l.lost(); cause != nil {
		return 0, cause
	}
	n, err := l.raw.Read(b)
	if cause := l.lost(); cause != nil {
		return 0, cause
	}
	// A WebSocket that the client has half closed is over; anything else may
	// still be written to.
	return n, l.after(err, l.websocket || !errors.Is(err, io.EOF))
}

// after is the error of an operation: the cause, if the claim was lost. A
// connection that is broken is closed, in case the handler forgets to, and is
// watched no more.
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

// Close ends the watching too.
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

// SetDeadline is the handler's until the claim is lost; then it is the guard's,
// and fails with the cause. So are the other two.
func (l *link) SetDeadline(t time.Time) error { return l.ifGood(l.raw.SetDeadline, t) }

// SetReadDeadline is as SetDeadline.
func (l *link) SetReadDeadline(t time.Time) error { return l.ifGood(l.raw.SetReadDeadline, t) }

// SetWriteDeadline is as SetDeadline.
func (l *link) SetWriteDeadline(t time.Time) error { return l.ifGood(l.raw.SetWriteDeadline, t) }

func (l *link) ifGood(set func(time.Time) error, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return set(t)
}

// mark makes all that the handler tries fail with the cause.
func (l *link) mark(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cause = cause
}

// lose ends the connection that is marked, whatever its handler and its client do,
// and returns then.
func (l *link) lose() {
	now := time.Now()
	_ = l.raw.SetWriteDeadline(now.Add(letGo)) // a Write lets go of its turn by then
	_ = l.raw.SetReadDeadline(now)
	defer l.close()
	if !l.writing.within(ended) {
		return
	}
	defer l.writing.release()
	if !l.websocket || l.torn { // behind half a frame the close frame would be noise
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
