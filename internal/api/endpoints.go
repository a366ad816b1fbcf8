package api

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

//go:embed openapi.json
var openAPIDocument []byte

func openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPIDocument) // the caller may be gone
}

// tenant returns the X-Tenant-Id of a request: exactly one, since of two a proxy
// and we might read different ones.
func tenant(r *http.Request) (string, error) {
	values := r.Header.Values("X-Tenant-Id")
	if len(values) != 1 {
		return "", fmt.Errorf("%w: header X-Tenant-Id occurs %d times, must occur once", registry.ErrInvalid, len(values))
	}
	return values[0], registry.ValidateTenant(values[0])
}

// askedHeader repeats in every answer to a check or claim what was asked, so that a
// client can recognize an answer to another question, or of another server.
const askedHeader = "X-Registry-Asked"

// echo sets askedHeader, "TENANT KIND/ID", if both are valid. It is a function of
// the request alone, so it does not distinguish refusals.
func (r *route) echo(w http.ResponseWriter, request *http.Request) {
	if r.kind == "" {
		return
	}
	resource := registry.Resource{Kind: r.kind, ID: request.PathValue("id")}
	if tenantID, err := tenant(request); err == nil && resource.Validate() == nil {
		w.Header().Set(askedHeader, tenantID+" "+resource.String())
	}
}

func (s *Server) verify(kind registry.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tenantID, err := tenant(r)
		if err == nil {
			err = s.options.Verifier.Verify(r.Context(), tenantID, registry.Resource{Kind: kind, ID: r.PathValue("id")})
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// storeTimeout bounds claims, takes and forward-auth as the verifier's Timeout bounds a
// check: clients are told that the registry gives up after 5 s, and wait little
// longer. A claim that is given up may have been made: so clients repeat it.
const storeTimeout = 5 * time.Second

// within bounds what a request waits for by storeTimeout.
func within(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	return r.WithContext(ctx), cancel
}

func (s *Server) claim(kind registry.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		created := false
		resource := registry.Resource{Kind: kind, ID: r.PathValue("id")}
		tenantID, err := tenant(r)
		option, err2 := claimedEvent(r)
		if err = cmp.Or(err, err2); err == nil {
			bounded, cancel := within(r)
			defer cancel()
			created, err = s.options.Registry.Claim(bounded.Context(), tenantID, resource, option)
		}
		switch {
		case err != nil:
			s.fail(w, r, err)
		case created:
			w.WriteHeader(http.StatusCreated)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

// claimedEvent returns the event of a claim, named by the headers Ce-Source and
// Ce-Id as in CloudEvents over HTTP: the percent sign, and everything except
// printable ASCII, are percent-encoded. It is zero if both headers are absent.
func claimedEvent(r *http.Request) (registry.ClaimOption, error) {
	var event registry.ClaimOption
	for header, into := range map[string]*string{"Ce-Source": &event.EventSource, "Ce-Id": &event.EventID} {
		values := r.Header.Values(header)
		if len(values) == 0 {
			continue
		}
		text, err := url.PathUnescape(values[0])
		if len(values) > 1 || err != nil {
			return registry.ClaimOption{}, fmt.Errorf("%w: header %s: must occur once, percent-encoded", registry.ErrInvalid, header)
		}
		*into = text
	}
	return event, event.Validate()
}

func (s *Server) quota(w http.ResponseWriter, r *http.Request) {
	if _, err := tenant(r); err != nil {
		s.fail(w, r, err)
		return
	}
	bounded, cancel := within(r)
	defer cancel()
	s.options.Quota.ServeHTTP(w, bounded)
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(s.options.Version)
	if err != nil {
		s.fail(w, r, fmt.Errorf("encode version: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the caller may be gone
}

// fail answers with the problem of an error, and logs what is not the caller's
// fault.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	if p.Status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		s.telemetry.logError(r, err)
	}
	p.Write(w)
}
