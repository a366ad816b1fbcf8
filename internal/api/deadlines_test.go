package api

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sets counts the deadlines that reach the connection itself.
type sets struct {
	net.Conn
	n int
}

func (s *sets) SetReadDeadline(t time.Time) error  { s.n++; return s.Conn.SetReadDeadline(t) }
func (s *sets) SetWriteDeadline(t time.Time) error { s.n++; return s.Conn.SetWriteDeadline(t) }

type one struct {
	net.Listener
	conn net.Conn
}

func (o one) Accept() (net.Conn, error) { return o.conn, nil }

// accepted returns a connection as the server sees it, with its other end.
func accepted(t *testing.T) (conn, client net.Conn, reached *sets) {
	client, end := net.Pipe()
	reached = &sets{Conn: end}
	conn, err := bound(one{conn: reached}, 1).Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = conn.Close(), client.Close() })
	return conn, client, reached
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

// waits returns how long a call waits until its deadline ends it.
func waits(t *testing.T, call func([]byte) (int, error)) time.Duration {
	began := time.Now()
	_, err := call(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	return time.Since(began)
}

func TestACallEndsByTheDeadlineThatWasSetLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := accepted(t)
		for name, side := range map[string]struct {
			set  func(time.Time) error
			call func([]byte) (int, error)
		}{"read": {c.SetReadDeadline, c.Read}, "write": {c.SetWriteDeadline, c.Write}, "both": {c.SetDeadline, c.Write}} {
			require.NoError(t, side.set(in(time.Hour)), name)
			require.NoError(t, side.set(in(3*time.Second)))
			assert.Equal(t, 3*time.Second, waits(t, side.call), name)
			assert.Zero(t, waits(t, side.call), "%s: it stays over", name)

			require.NoError(t, side.set(time.Time{}))
			go func() {
				time.Sleep(time.Minute)
				_ = side.set(in(time.Second))
			}()
			assert.Equal(t, 61*time.Second, waits(t, side.call), "%s: a call in progress", name)
			require.NoError(t, side.set(in(time.Hour)))
			go func() {
				time.Sleep(time.Minute)
				_ = side.set(time.Unix(1, 0)) // as net/http ends a read
			}()
			assert.Equal(t, time.Minute, waits(t, side.call), "%s: a call in progress", name)
		}
	})
}

func TestADeadlineIsNeverLateAndAtMostTheSlackEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client, _ := accepted(t)
		go func() {
			for b := make([]byte, 1); ; {
				if _, err := client.Read(b); err != nil {
					return
				}
			}
		}()
		for _, later := range []time.Duration{0, slack - 1, slack, time.Second, -1, -slack, -time.Second} {
			require.NoError(t, c.SetWriteDeadline(in(10*time.Second)))
			_, err := c.Write([]byte{0}) // it is in force now
			require.NoError(t, err)
			asked := in(10*time.Second + later)
			require.NoError(t, c.SetWriteDeadline(asked))
			_, err = c.Write([]byte{0})
			require.NoError(t, err)
			time.Sleep(time.Until(asked) - slack)
			_, err = c.Write([]byte{0})
			require.NoError(t, err, "asked for %v later", later)
			time.Sleep(slack + 1) // never after it
			_, err = c.Write([]byte{0})
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "asked for %v later", later)
		}
	})
}

// TestThatDeadlinesOfARequestAreNotSetOneByOne holds the reason why they are put off.
func TestThatDeadlinesOfARequestAreNotSetOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client, reached := accepted(t)
		const requests = 100
		for range requests { // as net/http does it
			for _, d := range []time.Duration{time.Minute, 0, 5 * time.Second, 15 * time.Second} {
				at := time.Time{}
				if d > 0 {
					at = in(d)
				}
				require.NoError(t, c.SetReadDeadline(at))
			}
			go func() { _, _ = client.Write([]byte{0}) }()
			_, err := c.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, c.SetWriteDeadline(in(20*time.Second)))
			go func() { _, _ = client.Read(make([]byte, 1)) }()
			_, err = c.Write([]byte{0})
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
		}
		assert.LessOrEqual(t, reached.n, 4, "of %d", 5*requests)
	})
}
