package api

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// Once all connections are in use, a new one takes the place of the one that has been
// without a request for longest. A client must expect that a connection without a
// request is closed (RFC 9112, section 9.5); it cannot do without one.

// roomTold is how often the log says that connections are closed for others.
const roomTold = time.Minute

func newRoomLog(logger *slog.Logger) *observe.LimitedLog {
	return observe.NewLimitedLog(logger, 1/roomTold.Seconds(), 1)
}

// closeIdle closes the connection that has been without a request for longest, and
// reports whether there was one. It looks at all of them: that takes microseconds,
// and only newcomers above the limit pay for it, not each request.
func (b *bounded) closeIdle() bool {
	for {
		longest, since := b.longestIdle()
		if longest == nil {
			return false
		}
		if !longest.idleSince.CompareAndSwap(since, 0) {
			continue // a request has come meanwhile
		}
		b.log.Write(context.Background(), "room", slog.LevelWarn, "all connections are in use: the one without a request for longest is closed for a new one",
			slog.Int("connections", b.most), slog.Duration("idle", time.Since(time.Unix(0, since)).Round(time.Millisecond)),
			slog.String("wanted", "a larger --max-connections, or more processes"))
		_ = longest.Close()
		return true
	}
}

func (b *bounded) longestIdle() (longest *counted, since int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		if at := c.idleSince.Load(); at != 0 && (longest == nil || at < since) {
			longest, since = c, at
		}
	}
	return longest, since
}

// noteIdle notes what an http.Server says of the connection.
func (c *counted) noteIdle(state http.ConnState) {
	if state == http.StateIdle {
		c.idleSince.Store(time.Now().UnixNano())
	} else {
		c.idleSince.Store(0)
	}
}

// preface is how a connection of HTTP/2 begins.
var preface = []byte("PRI * HTTP/2.0")

// Read notes that a request arrives: net/http says so only when it has all of its
// header. HTTP/2 also has frames that belong to no request.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.read {
		c.read, c.http2 = true, bytes.HasPrefix(p[:n], preface)
	}
	if n > 0 && !c.http2 {
		c.idleSince.Store(0)
	}
	return n, err
}
