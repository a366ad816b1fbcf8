package verifierhttp_test

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func openSocket(t *testing.T, s *httptest.Server) io.Closer {
	t.Helper()
	return open(true)(t, s)
}

func TestHalfAFrameIsFollowedByNoCloseFrame(t *testing.T) {
	const large = 8 << 20 // more than lies between the two
	lost, wrote := make(losing), make(chan int, 1)
	s := startSmall(t, false, protected(t, lost, upgraded(func(c net.Conn, _ *bufio.ReadWriter, _ <-chan struct{}) {
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)) // the handler's own cuts the frame
		n, _ := c.Write(make([]byte, large))
		wrote <- n
		_, _ = io.Copy(io.Discard, c)
	}, nil)))
	client := open(true)(t, s)
	defer client.Close()
	n := <-wrote
	require.Less(t, n, large)
	_, err := io.CopyN(io.Discard, client, int64(n))
	require.NoError(t, err)
	close(lost)
	got, _ := io.ReadAll(client)
	require.Empty(t, got)
}

// What the server has read before the handler took over is not lost, and can be
// seen: packages refuse clients that speak before the handshake is over.
func TestWhatCameBeforeTheUpgradeIsBuffered(t *testing.T) {
	buffered, read := make(chan int, 1), make(chan string, 1)
	s := startSmall(t, false, protected(t, make(losing), upgraded(func(c net.Conn, rw *bufio.ReadWriter, _ <-chan struct{}) {
		defer c.Close()
		buffered <- rw.Reader.Buffered()
		b := make([]byte, 10)
		_, _ = io.ReadFull(rw, b)
		read <- string(b)
	}, nil)))
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	require.NoError(t, err)
	require.Equal(t, 5, <-buffered)
	_, err = io.WriteString(c, "later")
	require.NoError(t, err)
	require.Equal(t, "earlylater", <-read)
	_ = c.SetDeadline(time.Now().Add(time.Minute))
}
