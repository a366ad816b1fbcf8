//go:build proofs

package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/judge"
	"github.com/northstar-engines/realtime-registry/registry"
)

// client asks serve processes over HTTP, one question at a time.
type client struct {
	x    *installation
	name string
	http *http.Client
}

func (x *installation) newClient(name string) *client {
	return &client{x: x, name: name, http: &http.Client{Timeout: 5 * time.Minute}}
}

// serving returns a process that takes requests; nil if none does.
func (x *installation) serving() *machine {
	var up []*machine
	for _, m := range x.serves {
		if m.up.Load() {
			up = append(up, m)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[x.world.chance(len(up))]
}

// run asks until the context ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		m := c.x.serving()
		if m == nil {
			sleep(ctx, 50*time.Millisecond)
			continue
		}
		switch n := c.x.world.chance(100); {
		case n < 70:
			if r, tenant, ok := c.x.world.some(); ok {
				c.check(m, tenant, r)
			}
		case n < 74:
			c.claim(m)
		case n < 76:
			c.claimOfLeaver(m)
		default:
			c.take(m)
		}
		sleep(ctx, time.Duration(10+c.x.world.chance(40))*time.Millisecond)
	}
}

func (c *client) check(m *machine, tenant string, r registry.Resource) {
	c.ask(m, http.MethodGet, path(r)+"/access", judge.Record{Type: judge.Check, Tenant: tenant, Resource: r.String()})
}

// claim has three tenants claim one resource at once, and the one that gets it publishes its
// event; all of them check.
func (c *client) claim(m *machine) {
	r, tenants := c.x.world.unclaimed()
	answers := make(chan func(), len(tenants))
	for i, tenant := range tenants {
		one := &client{x: c.x, name: fmt.Sprint(c.name, ".", i), http: c.http}
		go func() {
			got := one.ask(m, http.MethodPut, path(r), judge.Record{Type: judge.Claim, Tenant: tenant, Resource: r.String()})
			one.check(m, tenant, r)
			answers <- func() {
				if got == http.StatusCreated {
					c.x.claimed(r, tenant)
				}
			}
		}()
	}
	for range tenants {
		(<-answers)()
	}
}

// claimed publishes the event of a claim, and of some the deletion. What was deleted is
// claimed again.
func (x *installation) claimed(r registry.Resource, tenant string) {
	x.world.mu.Lock()
	all := []events.Event{x.world.created(r, tenant)}
	deleted := x.world.random.IntN(5) == 0
	if deleted {
		all = append(all, x.world.deletions(r)...)
	}
	x.world.mu.Unlock()
	for _, e := range all {
		x.publisher.publish(message{event: &e, topic: e.Type().Topic()})
	}
	if m := x.serving(); deleted && m != nil {
		again := x.newClient("again " + r.ID)
		again.ask(m, http.MethodPut, path(r), judge.Record{Type: judge.Claim, Tenant: tenant, Resource: r.String()})
	}
}

// claimOfLeaver has a tenant claim that will leave, or has left.
func (c *client) claimOfLeaver(m *machine) {
	r, i := c.x.world.leaving()
	if c.ask(m, http.MethodPut, path(r), judge.Record{Type: judge.Claim, Tenant: leaver(i), Resource: r.String()}) != http.StatusCreated {
		return
	}
	if e, ok := c.x.world.claimedByLeaver(r, i); ok {
		c.x.publisher.publish(message{event: &e, topic: e.Type().Topic()})
	}
}

// The throttled tenants and actions, and their policy.
const (
	throttled = 3
	policies  = "policies: [{action: robust, limit: 40, window: 4s}, {action: patient, limit: 200, window: 15s}]\n"
)

func (c *client) take(m *machine) {
	tenant := fmt.Sprint("t_throttled_", c.x.world.chance(throttled))
	action := []string{"robust", "robust", "patient"}[c.x.world.chance(3)]
	n := int64(1 + c.x.world.chance(2))
	c.ask(m, http.MethodPost, fmt.Sprintf("/v1/quota/%s/take?n=%d", action, n), judge.Record{Type: judge.Take, Tenant: tenant, Action: action, N: n})
}

// ask sends a request, records what came of it, and returns the status, 0 for none.
func (c *client) ask(m *machine, method, path string, r judge.Record) int {
	r.By, r.Of = c.name, m.name
	request, err := http.NewRequest(method, m.url()+path, nil)
	if err != nil {
		c.x.t.Errorf("%v", err)
		return 0
	}
	if r.Tenant != "" {
		request.Header.Set("X-Tenant-Id", r.Tenant)
	}
	r.At = now()
	answer, err := c.http.Do(request)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		r.Status = answer.StatusCode
		if asked := answer.Header.Get("X-Registry-Asked"); r.Resource != "" && asked != r.Tenant+" "+r.Resource && asked != "" {
			c.x.t.Errorf("%s answered %q to %s %s", m.name, asked, r.Tenant, r.Resource)
		}
	}
	if err != nil {
		r.Status = 0
	}
	r.Until = now()
	c.x.history.record(r)
	if r.Type == judge.Claim && r.Status == http.StatusCreated && !m.old.Load() {
		c.x.promised.claim(r.Resource, r.Tenant)
	}
	return r.Status
}

func path(r registry.Resource) string {
	if r.Kind == registry.Canvas {
		return "/v1/canvases/" + r.ID
	}
	return "/v1/threads/" + r.ID
}

// watch keeps a watch of some ownerships open, and another one when it has ended.
func (c *client) watch(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		m := c.x.serving()
		var owned []judge.Ownership
		seen := map[judge.Ownership]bool{}
		for range 100 {
			if r, tenant, ok := c.x.world.some(); ok {
				o := judge.Ownership{Tenant: tenant, Resource: r.String()}
				if !seen[o] {
					seen[o] = true
					owned = append(owned, o)
				}
			}
		}
		if m != nil && len(owned) > 0 {
			lasting, cancel := context.WithTimeout(ctx, time.Duration(5+c.x.world.chance(15))*time.Second)
			c.watchOnce(lasting, m, fmt.Sprint(c.name, ".", n), owned)
			cancel()
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

func (c *client) watchOnce(ctx context.Context, m *machine, name string, owned []judge.Ownership) {
	type item struct {
		Tenant string `json:"tenant_id"`
		Kind   string `json:"kind"`
		ID     string `json:"id"`
	}
	var items []item
	for _, o := range owned {
		kind, id, _ := strings.Cut(o.Resource, "/")
		items = append(items, item{o.Tenant, kind, id})
	}
	body, err := json.Marshal(map[string]any{"resources": items})
	if err != nil {
		c.x.t.Errorf("%v", err)
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url()+"/v1/watch", bytes.NewReader(body))
	if err != nil {
		c.x.t.Errorf("%v", err)
		return
	}
	sent := now()
	c.x.history.record(judge.Record{Type: judge.Watch, At: sent, Name: name, By: c.name, Of: m.name, Owned: owned})
	defer func() { c.x.history.record(judge.Record{Type: judge.Closed, At: now(), Name: name}) }()
	answer, err := c.http.Do(request)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		c.follow(name, sent, answer.Body)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
