package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

var errDraining = errors.New("shutting down: send no more requests here")

// health answers with the result of probe; nil is always healthy.
func health(probe func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if probe != nil {
			if err := probe(r.Context()); err != nil {
				problem.New(http.StatusServiceUnavailable, err.Error()).Write(w)
				return
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // the caller may be gone
	}
}

// ready answers whether requests may be sent here: not while the server drains, nor
// if one of the parts says no; nil parts are ignored. With ?store the store is one
// of them. A question that is not understood is refused: its answer could be taken
// for a yes to another one.
func (s *Server) ready(parts ...func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked := parts
		switch query, err := url.QueryUnescape(r.URL.RawQuery); {
		case err == nil && (query == "store" || query == "store="):
			asked = append([]func(context.Context) error{s.options.Store}, parts...)
		case query != "" || err != nil:
			problem.New(http.StatusBadRequest, "want "+r.URL.Path+", or "+r.URL.Path+"?store to ask for the store too").Write(w)
			return
		}
		health(func(ctx context.Context) error {
			var faults []error
			if s.draining.Load() {
				faults = append(faults, errDraining)
			}
			if s.options.Starting != nil {
				faults = append(faults, errStarting)
			}
			for _, part := range asked {
				if part != nil {
					faults = append(faults, part(ctx))
				}
			}
			return errors.Join(faults...)
		})(w, r)
	}
}
