package api

import (
	"context"
	"net/http"
	"time"
)

// pages are the routes of Options.Console.
func (s *Server) pages() (routes []route) {
	for _, p := range s.options.Console {
		r := route{method: http.MethodGet, pattern: p.Pattern, access: apiToken, serve: p.Serve, page: true, streams: p.Streams}
		if p.Open {
			r.access = open
		}
		routes = append(routes, r)
	}
	return routes
}

// revokedEvery is how often the token of a streaming page is checked again.
const revokedEvery = time.Second

// stream serves a streaming page. Its context ends when the server drains, and when
// its token is no longer valid.
func (s *Server) stream(x *exchange, r *http.Request, route *route) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(drainOf(r), cancel)()
	go func() {
		tick := time.NewTicker(revokedEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if g := s.guard.Load(); g.demands(route.access) && !g.carries(r, route.access) {
				cancel()
			}
		}
	}()
	narrow(r)
	route.serve(begun{x.answer, x}, r.WithContext(ctx))
}

// begun records the exchange with its first bytes: the rest is no longer a request.
type begun struct {
	*answer
	x *exchange
}

// FlushError is what http.ResponseController calls.
func (b begun) FlushError() error {
	b.x.record()
	return http.NewResponseController(b.ResponseWriter).Flush()
}
