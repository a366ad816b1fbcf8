//go:build proofs

package robustness

import (
	"context"
	"encoding/json"
	"sync"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// logSubscription keeps the registry's log for the history.
const logSubscription = "robustness-log"

// promised are claims that were answered 201, and are not in the registry's log yet.
type promised struct {
	mu     sync.Mutex
	claims map[[2]string]bool // by resource and tenant; false once it is in the log
}

func (p *promised) set(resource, tenant string, left bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claims == nil {
		p.claims = map[[2]string]bool{}
	}
	key := [2]string{resource, tenant}
	if _, known := p.claims[key]; !known || !left { // the log may be faster than the answer
		p.claims[key] = left
	}
}

func (p *promised) claim(resource, tenant string)  { p.set(resource, tenant, true) }
func (p *promised) logged(resource, tenant string) { p.set(resource, tenant, false) }

func (p *promised) left() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, left := range p.claims {
		if left {
			n++
		}
	}
	return n
}

// log reads the registry's log into the history until the context ends.
func (x *installation) log(ctx context.Context, client *pubsub.Client) error {
	return x.receive(ctx, client.Subscriber(logSubscription), func(m *pubsub.Message) {
		var e struct {
			Data struct {
				Tenant   string                    `json:"tenant_id"`
				Resource struct{ Kind, ID string } `json:"resource"`
			} `json:"data"`
		}
		if err := json.Unmarshal(m.Data, &e); err != nil {
			x.t.Errorf("the registry's log: %v", err)
		}
		x.history.record(judge.Record{Type: judge.Logged, At: now(), Event: m.Data})
		x.promised.logged(e.Data.Resource.Kind+"/"+e.Data.Resource.ID, e.Data.Tenant)
	})
}
