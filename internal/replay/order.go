package replay

import (
	"sync"

	"github.com/northstar-engines/realtime-registry/registry"
)

// order holds a batch back until those are done that concern the same
// resources, or the ledger: not for what the registry becomes, except for what the
// counts say, which is then what a dry run has said.
type order struct {
	sync.WaitGroup
	since map[registry.Resource]bool // named by batches that may be under way
}

func (o *order) before(b *batch) {
	const most = 100_000
	wait := len(o.since) > most
	for _, it := range b.Works {
		for _, c := range it.Changes {
			wait = wait || o.since[c.Resource] || c.OfLedger() || o.since[registry.Resource{}]
		}
	}
	if wait {
		o.Wait()
		o.since = nil
	}
	if o.since == nil {
		o.since = map[registry.Resource]bool{}
	}
	for _, it := range b.Works {
		for _, c := range it.Changes {
			o.since[c.Resource] = true
		}
	}
	o.Add(1)
}

func (o *order) done() { o.Done() }
