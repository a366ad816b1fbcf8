// Package problem writes errors as application/problem+json (RFC 9457), for the
// HTTP API and for the middleware alike, so that both refuse in the same bytes.
//
// Of is the one table from error kind to status. No problem says more than its
// kind, except faults of the caller's own (400), whose text says what to fix. In
// particular the body of a 404 is constant, whether the resource has no owner or
// another one.
package problem

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/northstar-engines/realtime-registry/registry"
)

// ContentType is the media type of every problem.
const ContentType = "application/problem+json"

// Problem is the body of an error answer. Its type is always "about:blank": the
// title is that of the status (RFC 9457, section 4.2.1).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// New returns a problem with the title that belongs to the status.
func New(status int, detail string) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// Of returns the problem that answers an error of package registry.
func Of(err error) Problem {
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return New(http.StatusBadRequest, err.Error())
	case errors.Is(err, registry.ErrNotFound):
		return New(http.StatusNotFound, "no such resource, or not this tenant's")
	case errors.Is(err, registry.ErrConflict):
		return New(http.StatusConflict, "another tenant owns this resource")
	case errors.Is(err, registry.ErrUnavailable):
		return New(http.StatusServiceUnavailable, "the registry did not answer in time: nothing is known about the resource; try again")
	}
	return New(http.StatusInternalServerError, "internal error")
}

// MostRetryAfter is the longest Retry-After of a 503, in seconds.
const MostRetryAfter = 3

// Write answers with the problem, never to be stored by caches. A 503 carries
// Retry-After of 1 to MostRetryAfter seconds, drawn at random so that callers do
// not come back all at once.
func (p Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a number: cannot happen
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(1+rand.IntN(MostRetryAfter)))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller may be gone; there is no one else to tell
}
