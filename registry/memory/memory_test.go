package memory_test

import (
	"testing"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/storetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Backend {
		store := memory.New()
		return storetest.Backend{
			Open:     func() storetest.Store { return store },
			SetPlain: store.SetPlain,
			Feed: func() (resources []registry.Resource) {
				for _, e := range store.Feed() {
					resources = append(resources, e.Resource)
				}
				return resources
			},
		}
	})
}
