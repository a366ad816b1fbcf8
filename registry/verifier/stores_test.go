package verifier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// thread is a thread by its id.
func thread(id string) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: id} }

func claim(t testing.TB, store ownership.Store, tenantID string, resource registry.Resource) {
	t.Helper()
	_, err := store.Claim(t.Context(), tenantID, resource)
	require.NoError(t, err)
}

// move applies a move of the resource, or, with the zero Resource, of everything
// that from owns.
func move(t testing.TB, store ownership.Store, from, to string, resource registry.Resource) {
	t.Helper()
	at := time.Now().Add(time.Second) // after every claim of the test
	outcomes := store.Apply(t.Context(), []ownership.Change{{Resource: resource, Entry: ownership.Entry{
		Type: ownership.Moved, From: from, To: to,
		Version: ownership.Version{Time: at, Source: "test", ID: fmt.Sprint(from, to, resource, at)},
	}}})
	require.Equal(t, ownership.Applied, outcomes[0].Kind)
}

// newVerifier is a verifier that works until the test ends.
func newVerifier(t testing.TB, store ownership.Store, options verifier.Options) *verifier.Verifier {
	t.Helper()
	v, err := verifier.New(store, options)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// gatedStore is a memory store whose reads are counted, and held or failed where
// a gate says so. A read sees the store as it was when it was sent.
type gatedStore struct {
	*memregistry.Store
	gate func(context.Context, []registry.Resource) error

	mu    sync.Mutex
	reads [][]registry.Resource
}

func newGatedStore(gate func(context.Context, []registry.Resource) error) *gatedStore {
	return &gatedStore{Store: memregistry.New(), gate: gate}
}

func (s *gatedStore) Read(ctx context.Context, resources []registry.Resource) (ownership.Snapshot, error) {
	s.mu.Lock()
	s.reads = append(s.reads, resources)
	gate := s.gate
	s.mu.Unlock()
	snapshot, err := s.Store.Read(ctx, resources)
	if err == nil && gate != nil {
		err = gate(ctx, resources)
	}
	return snapshot, err
}

// setGate sets the gate while reads may be under way.
func (s *gatedStore) setGate(gate func(context.Context, []registry.Resource) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

func (s *gatedStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reads)
}

func (s *gatedStore) resourcesRead() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, read := range s.reads {
		n += len(read)
	}
	return n
}

// hung never answers before its context ends.
func hung(ctx context.Context, _ []registry.Resource) error {
	<-ctx.Done()
	return fmt.Errorf("read: %w: %w", registry.ErrUnavailable, ctx.Err())
}
