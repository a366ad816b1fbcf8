package api

import (
	"context"
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
