package consumer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// contact tracks the connection to Pub/Sub: which streams are connected, when the
// service last answered, and which acknowledgements it has confirmed. It is safe
// for concurrent use, and asks no clock.
type contact struct {
	timeout time.Duration // after which Ready fails

	mu            sync.Mutex
	answered      time.Time // the last good answer to anything
	subscriptions map[string]*route
}

// route tracks one subscription.
type route struct {
	streams   map[*stream]struct{} // open
	connected time.Time            // when a stream was last known to be connected
	failure   error                // why the last one ended; nil: in order
	acks      waiting              // from the call of Ack until its confirmation
	lost      time.Time            // since when the log says that it is lost; zero: it is not
}

// stream is one StreamingPull.
type stream struct {
	opened   time.Time
	answered time.Time // the last answer on it; zero: none yet
}

// streamSilence is the longest silence of a healthy stream: the client pings each
// one every 30 s, and Pub/Sub answers within 15 s
// (https://github.com/googleapis/google-cloud-java/issues/14348).
const streamSilence = time.Minute

// newContact returns a contact with everything in order: Pub/Sub has just answered.
func newContact(names []string, timeout time.Duration, now time.Time) *contact {
	c := &contact{timeout: timeout, answered: now, subscriptions: map[string]*route{}}
	for _, name := range names {
		c.subscriptions[name] = &route{streams: map[*stream]struct{}{}, connected: now}
	}
	return c
}

// Shares of the timeout. Streams end and are opened anew in ordinary times too; it
// takes more than that before anything is reported.
func (c *contact) tellAfter() time.Duration { return c.timeout / 6 } // no stream is connected
func (c *contact) askAfter() time.Duration  { return c.timeout / 3 } // nothing was heard; and what the asking may take
func (c *contact) doubt() time.Duration     { return c.timeout * 5 / 6 }

func (c *contact) update(name string, change func(*route)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.subscriptions[name]; s != nil {
		change(s)
	}
}

// opened notes a stream that is being opened.
func (c *contact) opened(name string, now time.Time) *stream {
	opened := &stream{opened: now}
	c.update(name, func(s *route) { s.streams[opened] = struct{}{} })
	return opened
}

// answeredOn notes that the service has answered on a stream.
func (c *contact) answeredOn(name string, on *stream, now time.Time) {
	c.update(name, func(s *route) { on.answered, s.connected, c.answered = now, now, now })
}

// ended notes that a stream has ended; why is nil if it ended in order.
func (c *contact) ended(name string, ended *stream, now time.Time, why error) {
	c.update(name, func(s *route) {
		if c.isConnectedLocked(ended, now) {
			s.connected = now
		}
		delete(s.streams, ended)
		s.failure = why
	})
}

// isConnectedLocked reports whether messages can come on the stream: the service
// has answered on it lately, or has kept it open for a while, since on a new stream
// without messages it says nothing before the first ping. A refused stream ends
// sooner. A service that answers nothing at all keeps no stream: the client opens
// one after the other.
func (c *contact) isConnectedLocked(s *stream, now time.Time) bool {
	if c.isSilentLocked(now) || s.isSilent(now) {
		return false
	}
	return !s.answered.IsZero() || now.Sub(s.opened) >= c.tellAfter()
}

// isSilentLocked reports whether the service, which was asked and had time to
// answer, has not.
func (c *contact) isSilentLocked(now time.Time) bool { return now.Sub(c.answered) > c.doubt() }

func (s *stream) isSilent(now time.Time) bool {
	since := s.answered
	if since.IsZero() {
		since = s.opened
	}
	return now.Sub(since) > streamSilence
}

// heard notes a good answer to anything else.
func (c *contact) heard(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = now
}

// silence returns how long nothing was heard.
func (c *contact) silence(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.answered)
}

func (c *contact) acking(name string, now time.Time) {
	c.update(name, func(s *route) { s.acks.came(now) })
}

// acked notes that the service has answered for n acknowledgements.
func (c *contact) acked(name string, now time.Time, n int, confirmed bool) {
	c.update(name, func(s *route) { s.acks.left(now, int64(n), confirmed) })
}

// state has the measurements of a subscription.
type state struct {
	streams     int // connected
	unconfirmed int64
}

func (c *contact) states(now time.Time) map[string]state {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[string]state{}
	for name, s := range c.subscriptions {
		states[name] = state{streams: c.connectedStreamsLocked(s, now), unconfirmed: s.acks.held}
	}
	return states
}

func (c *contact) connectedStreamsLocked(s *route, now time.Time) (n int) {
	for open := range s.streams {
		if c.isConnectedLocked(open, now) {
			n++
		}
	}
	return n
}

// lostSinceLocked returns when the subscription was last in order, the zero time if
// it is. A pause between streams that ended in order does not count: Pub/Sub's
// emulator before release 0.8.32 answers no pings, so the client ends each idle
// stream itself, twice a minute, and opens it anew
// (https://github.com/googleapis/google-cloud-go/issues/14358).
func (c *contact) lostSinceLocked(s *route, now time.Time) time.Time {
	if c.connectedStreamsLocked(s, now) > 0 {
		s.connected = now
	}
	switch {
	case (s.failure != nil || s.hasSilentStream(now)) && now.Sub(s.connected) > c.tellAfter():
		return s.connected
	case c.isSilentLocked(now):
		return c.answered
	}
	return time.Time{}
}

func (s *route) hasSilentStream(now time.Time) bool {
	for open := range s.streams {
		if open.isSilent(now) {
			return true
		}
	}
	return false
}

// news is a change that an operator must see.
type news struct {
	lost          bool // otherwise it is back
	subscriptions []string
	since         time.Time
	failure       error // the last one
}

// turn returns the changes since the last call.
func (c *contact) turn(now time.Time) (all []news) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, lost := range []bool{true, false} {
		n := news{lost: lost}
		for _, name := range slices.Sorted(maps.Keys(c.subscriptions)) {
			s := c.subscriptions[name]
			since := c.lostSinceLocked(s, now)
			if is := !since.IsZero(); is != lost || is == !s.lost.IsZero() {
				continue
			}
			n.subscriptions = append(n.subscriptions, shortName(name))
			n.since, n.failure = s.lost, nil
			if lost {
				n.since, n.failure = since, s.failure
			}
			s.lost = since
		}
		if len(n.subscriptions) > 0 {
			all = append(all, n)
		}
	}
	return all
}

// ready returns the faults that have lasted longer than the timeout.
func (c *contact) ready(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(c.subscriptions)) {
		s := c.subscriptions[name]
		short := shortName(name)
		if since := c.lostSinceLocked(s, now); !since.IsZero() && now.Sub(since) > c.timeout {
			faults = append(faults, fmt.Errorf("subscription %s: no contact with Pub/Sub for %s%s",
				short, now.Sub(since).Round(time.Second), because(s.failure)))
		}
		if stuck := s.acks.stuck(now); stuck > c.timeout {
			faults = append(faults, fmt.Errorf("subscription %s: Pub/Sub has confirmed no acknowledgement for %s, with %d unconfirmed",
				short, stuck.Round(time.Second), s.acks.held))
		}
	}
	return errors.Join(faults...)
}

func because(failure error) string {
	if failure == nil {
		return ""
	}
	return ": " + failure.Error()
}
