package wire

import (
	"fmt"
	"net"
	"sync"
	"time"
)

// A Link is a TCP proxy on loopback between a client and its server, for the faults
// of networks. It is safe for concurrent use.
type Link struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	state  linkState
	change chan struct{} // closed and replaced when the state changes
	pairs  map[*pair]struct{}
	closed bool
}

type linkState struct {
	delay    time.Duration
	refuse   bool
	holdUp   bool // bytes to the server wait
	holdDown bool // bytes to the client wait
}

// NewLink starts a link to a server (host:port). The caller closes it.
func NewLink(target string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", target, err)
	}
	l := &Link{target: target, listener: listener, change: make(chan struct{}), pairs: map[*pair]struct{}{}}
	l.running.Add(1)
	go l.accept()
	return l, nil
}

// Addr is where clients connect: host:port.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Delay makes every byte, in both directions, arrive later by d. Zero ends it.
func (l *Link) Delay(d time.Duration) { l.set(func(s *linkState) { s.delay = d }) }

// Cut resets all connections. New ones are accepted.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resetLocked()
}

// Refuse resets all connections, and every new one, until Restore.
func (l *Link) Refuse() {
	l.set(func(s *linkState) { s.refuse = true })
	l.Cut()
}

// Blackhole lets nothing pass in either direction until Restore: connections stay
// and new ones are accepted, as when a cable is pulled. Waiting bytes arrive after
// Restore, as TCP would send them again.
func (l *Link) Blackhole() { l.set(func(s *linkState) { s.holdUp, s.holdDown = true, true }) }

// HalfOpen holds what the server sends until Restore: requests arrive and are
// carried out, but answers do not come.
func (l *Link) HalfOpen() { l.set(func(s *linkState) { s.holdDown = true }) }

// Restore ends Delay, Refuse, Blackhole and HalfOpen.
func (l *Link) Restore() { l.set(func(s *linkState) { *s = linkState{} }) }

// Close resets all connections, stops listening, and returns when no goroutine
// of the link is left.
func (l *Link) Close() error {
	l.mu.Lock()
	l.closed = true
	l.resetLocked()
	l.signalLocked()
	l.mu.Unlock()
	err := l.listener.Close()
	l.running.Wait()
	return err
}

func (l *Link) set(change func(*linkState)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
	l.signalLocked()
}

// signalLocked wakes all goroutines that wait for a change of the state.
func (l *Link) signalLocked() {
	close(l.change)
	l.change = make(chan struct{})
}

// resetLocked ends all connections with a reset.
func (l *Link) resetLocked() {
	for p := range l.pairs {
		p.end(reset)
	}
}

func (l *Link) accept() {
	defer l.running.Done()
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Add(1)
		go l.connect(client.(*net.TCPConn))
	}
}

func (l *Link) connect(client *net.TCPConn) {
	defer l.running.Done()
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn), gone: make(chan struct{})}
	l.mu.Lock()
	refuse := l.closed || l.state.refuse
	if !refuse {
		l.pairs[p] = struct{}{}
	}
	l.mu.Unlock()
	if refuse {
		p.end(reset)
		return
	}
	l.carry(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

// await returns when bytes that were read at a given time may be sent; false if the
// connection has ended.
func (l *Link) await(p *pair, up bool, read time.Time) bool {
	for {
		l.mu.Lock()
		state, change := l.state, l.change
		l.mu.Unlock()
		held := state.holdDown
		if up {
			held = state.holdUp
		}
		var due <-chan time.Time
		if !held {
			wait := time.Until(read.Add(state.delay))
			if wait <= 0 {
				return true
			}
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-change:
		case <-p.gone:
			return false
		}
	}
}
