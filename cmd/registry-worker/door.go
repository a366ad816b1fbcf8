package main

import (
	"context"
	"net"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// door is a listener that is answered from the first moment: until the service has
// opened what it needs, with the news that the process lives and is not ready.
type door struct {
	standIn *api.Server
	end     context.CancelFunc
	ended   chan struct{}
	err     error // of standIn.Serve, once it has ended
}

// openDoor answers at a listener, by a server with these options, which have Starting,
// until it is handed over to another one.
func openDoor(ctx context.Context, o api.Options, l net.Listener) (*door, error) {
	server, err := api.New(o)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	d := &door{standIn: server, end: end, ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		d.err = server.Serve(ctx, l)
	}()
	return d, nil
}

// handOver has a server answer from now on.
func (d *door) handOver(to *api.Server) { d.standIn.HandOver(to) }

// serve answers until ctx ends, and drains, as Server.Serve does.
func (d *door) serve(ctx context.Context) error {
	defer context.AfterFunc(ctx, d.end)()
	<-d.ended
	return d.err
}

// closeTimeout bounds what the end of a failed start waits for: nobody was promised an
// answer.
const closeTimeout = time.Second

// close ends what serve has not ended.
func (d *door) close() {
	if d == nil {
		return
	}
	d.end()
	select {
	case <-d.ended:
	case <-time.After(closeTimeout):
	}
}

// openDoors answers at both listeners, as far as they are open.
func (s *service) openDoors(ctx context.Context) (err error) {
	o := s.baseOptions()
	o.Tokens, o.ClaimTokens = s.tokens.api, s.tokens.claim
	o.Starting = &s.parts
	if s.in.Config.MetricsListen != "" {
		if s.metrics != nil {
			if s.metricsDoor, err = openDoor(ctx, monitoring(o), s.metrics); err != nil {
				return err
			}
		}
		o.Metrics, o.MetricsAt = nil, s.metricsAt()
	}
	s.door, err = openDoor(ctx, o, s.listener)
	return err
}

// metricsAt is the address that has /metrics, if it is not the one of the API.
func (s *service) metricsAt() string {
	if s.metrics != nil {
		return s.metrics.Addr().String()
	}
	return s.in.Config.MetricsListen
}
