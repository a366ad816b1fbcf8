package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/internal/redact"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Console serves the page. It is safe for concurrent use.
type Console struct {
	options Options
	live    *live

	letters struct {
		sync.Mutex
		at    time.Time
		found any
	}
}

// New returns a console. The error lists every fault of the options.
func New(options Options) (*Console, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("console options: %w", err)
	}
	c := &Console{options: options.withDefaults()}
	c.live = newLive(c)
	return c, nil
}

// Route is one path of the console; all are GET.
type Route struct {
	Pattern string // segments in braces are path values
	Open    bool   // it needs no token: what it answers is constant
	Streams bool   // it answers until its client goes, or its context ends
	Serve   http.HandlerFunc
}

// Routes lists all paths.
func (c *Console) Routes() []Route {
	return []Route{
		{Pattern: "/console", Open: true, Serve: servePage},
		{Pattern: "/console/assets/{file}", Open: true, Serve: serveAsset},
		{Pattern: "/console/api/about", Serve: c.about},
		{Pattern: "/console/api/live", Streams: true, Serve: c.serveLive},
		{Pattern: "/console/api/resources/{kind}/{id}", Serve: answer(c.inspect)},
		{Pattern: "/console/api/tenants/{tenant}", Serve: answer(c.tenant)},
		{Pattern: "/console/api/moves", Serve: answer(c.moves)},
		{Pattern: "/console/api/moves/{source}/{id}", Serve: answer(c.move)},
		{Pattern: "/console/api/dead-letters", Serve: answer(c.deadLetters)},
	}
}

// about is what does not change.
func (c *Console) about(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, struct {
		Name         string  `json:"name"`
		Target       string  `json:"target"`
		Version      string  `json:"version"`
		MaxStaleness float64 `json:"max_staleness_seconds"`
		Every        float64 `json:"every_seconds"`
		Peers        int     `json:"peers"`
		Throttles    bool    `json:"throttles"`
	}{
		c.options.Name, c.options.Target, c.options.Version, c.options.MaxStaleness.Seconds(),
		c.options.Every.Seconds(), len(c.options.Peers), c.options.Throttled != nil,
	})
}

func (c *Console) inspect(r *http.Request) (any, error) {
	resource := registry.Resource{Kind: registry.Kind(r.PathValue("kind")), ID: r.PathValue("id")}
	if err := resource.Validate(); err != nil {
		return nil, err
	}
	return c.options.Look.Inspect(r.Context(), resource)
}

// tenant has what could be read of a tenant: if its windows cannot be read, its
// moves are still shown.
func (c *Console) tenant(r *http.Request) (any, error) {
	tenant := r.PathValue("tenant")
	if err := registry.ValidateTenant(tenant); err != nil {
		return nil, err
	}
	var seen struct {
		Tenant       string `json:"tenant_id"`
		Moves        any    `json:"moves"`
		MovesError   string `json:"moves_error,omitempty"`
		Windows      any    `json:"windows"`
		WindowsError string `json:"windows_error,omitempty"`
	}
	seen.Tenant = tenant
	var both sync.WaitGroup
	both.Go(func() { seen.Moves, seen.MovesError = told(c.options.Look.Moves(r.Context(), tenant)) })
	both.Go(func() { seen.Windows, seen.WindowsError = told(c.options.Look.Windows(r.Context(), tenant)) })
	both.Wait()
	return seen, nil
}

func told(found any, err error) (any, string) {
	if err != nil {
		return nil, redact.Text(err.Error())
	}
	return found, ""
}

func (c *Console) moves(r *http.Request) (any, error) { return c.options.Look.Moves(r.Context(), "") }

func (c *Console) move(r *http.Request) (any, error) {
	return c.options.Look.Move(r.Context(), ownership.EventName{Source: r.PathValue("source"), ID: r.PathValue("id")})
}

// deadLetters looks for them one caller at a time: a look leases what it finds, and
// several would hide letters from each other.
func (c *Console) deadLetters(r *http.Request) (any, error) {
	c.letters.Lock()
	defer c.letters.Unlock()
	if c.letters.found != nil && time.Since(c.letters.at) < lettersEvery {
		return c.letters.found, nil
	}
	found, err := c.options.Look.DeadLetters(r.Context())
	if err != nil {
		return nil, err
	}
	c.letters.found, c.letters.at = found, time.Now()
	return found, nil
}

// answer writes the result, or the error.
func answer(ask func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := ask(r)
		switch {
		case err == nil:
			writeJSON(w, found)
		case errors.Is(err, registry.ErrInvalid):
			problem.Of(err).Write(w)
		case errors.Is(err, ErrNoDeadLetters):
			problem.New(http.StatusNotImplemented, err.Error()).Write(w)
		case errors.Is(err, registry.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
			problem.New(http.StatusServiceUnavailable, redact.Text(err.Error())).Write(w)
		default:
			problem.New(http.StatusInternalServerError, redact.Text(err.Error())).Write(w)
		}
	}
}

func writeJSON(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		problem.New(http.StatusInternalServerError, err.Error()).Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // the caller may be gone
}
