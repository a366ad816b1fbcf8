package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// A balancer that does not ask /readyz finds out by a refused connection that a
// server has gone. What it has sent over one that was taken it may not repeat.
func TestAConnectionIsRefusedOrAnsweredWhenTheServerEnds(t *testing.T) {
	const servers, together, clients = 160, 40, 8
	t.Parallel()
	var asked, failed atomic.Int64
	var group errgroup.Group
	group.SetLimit(together)
	for range servers {
		s := serve(t, api.Options{})
		group.Go(func() error {
			answered := make(chan struct{}, 1)
			var connects sync.WaitGroup
			for range clients {
				connects.Go(func() {
					for {
						connection, err := net.Dial("tcp", s.addr)
						if err != nil {
							return // refused
						}
						asked.Add(1)
						if err := postOver(connection); err != nil {
							failed.Add(1)
							t.Log(err)
						}
						select {
						case answered <- struct{}{}:
						default:
						}
					}
				})
			}
			<-answered
			s.stop()
			connects.Wait()
			return nil
		})
	}
	assert.NoError(t, group.Wait())
	assert.Zero(t, failed.Load(), "of %d", asked.Load())
}

// postOver sends a request that nobody may repeat over a new connection, reads its
// answer, and closes the connection.
func postOver(connection net.Conn) error {
	defer connection.Close()
	if _, err := fmt.Fprint(connection, "POST /v1/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
