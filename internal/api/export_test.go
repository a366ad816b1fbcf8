package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Routes lists what is served, as "METHOD /pattern".
func (s *Server) Routes() []string {
	var all []string
	for _, route := range s.table {
		all = append(all, route.method+" "+route.pattern)
	}
	return all
}

// KeepAlive is how long connections without a request are kept.
func (s *Server) KeepAlive() time.Duration { return s.httpServer(context.Background()).IdleTimeout }

// Over returns a server over connections of Bounded, which tells noted of their states.
func Over(handler http.Handler, noted func(net.Conn, http.ConnState)) *http.Server {
	var b busy
	return &http.Server{Handler: handler, ConnContext: withConn, ConnState: func(c net.Conn, state http.ConnState) {
		b.note(c, state)
		noted(c, state)
	}}
}

// Bounded bounds the connections of a listener, as Serve does.
func Bounded(l net.Listener, most int) net.Listener {
	return bound(l, most, slog.New(slog.DiscardHandler))
}

// IsSpare reports whether a request came over a connection from the reserve.
func IsSpare(r *http.Request) bool { return isSpare(r.Context()) }

// WithDrain returns the context of a request whose server drains once drain has ended.
func WithDrain(ctx, drain context.Context) context.Context { return withDrain(ctx, drain) }
