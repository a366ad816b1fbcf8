package wire

import (
	"net"
	"sync"
	"time"
)

// pair is one connection through a link.
type pair struct {
	client, server *net.TCPConn
	once           sync.Once
	gone           chan struct{} // closed when the pair has ended
}

type ending bool

const (
	reset   ending = true  // the peers get a reset, at once
	orderly ending = false // they get what was written, then the end
)

func (p *pair) end(how ending) {
	p.once.Do(func() {
		for _, conn := range []*net.TCPConn{p.client, p.server} {
			if how == reset {
				_ = conn.SetLinger(0)
			}
			_ = conn.Close()
		}
		close(p.gone)
	})
}

// carry moves bytes both ways until either peer ends.
func (l *Link) carry(p *pair) {
	var both sync.WaitGroup
	both.Go(func() { l.pump(p, p.client, p.server, true) })
	both.Go(func() { l.pump(p, p.server, p.client, false) })
	both.Wait()
}

type chunk struct {
	bytes []byte
	read  time.Time
}

// inFlight bounds the chunks in transit; a sender that is further ahead waits, as
// with a full window.
const inFlight = 256

// pump moves bytes one way. Reading and writing are separate, so that a delay costs
// latency and not throughput.
func (l *Link) pump(p *pair, from, to *net.TCPConn, up bool) {
	chunks := make(chan chunk, inFlight)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case chunks <- chunk{buf[:n], time.Now()}:
				case <-p.gone:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		if !l.await(p, up, c.read) {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	p.end(orderly)
	for range chunks { // until the reader has ended
	}
}
