package middleware

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// closeWait is how long the close frame may take to be sent.
const closeWait = time.Second

// conn is a connection that a handler took over. When the claim is lost its
// client is told by a close frame, where it is a WebSocket, and it is closed.
type conn struct {
	net.Conn
	frames bool
	end    func() // of the watching

	mu    sync.Mutex // held by each Write, so that the close frame is between two
	cause error
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return 0, c.cause
	}
	return c.Conn.Write(b)
}

// Close ends the watching too.
func (c *conn) Close() error {
	c.end()
	return c.Conn.Close()
}

func (c *conn) lose(cause error) {
	// A Write that waits for a slow client gives the lock back by then.
	_ = c.SetWriteDeadline(time.Now().Add(closeWait))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cause = cause
	if c.frames {
		_ = c.SetWriteDeadline(time.Now().Add(closeWait))
		_, _ = c.Conn.Write(closeFrame(cause)) // the client may be gone
	}
	_ = c.Conn.Close()
	c.end()
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
