package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

func claimRegisters(t *testing.T, b Backend) {
	s := b.Open()
	first, err := s.Claim(context.Background(), "t_a", thread("1"))
	require.NoError(t, err)
	require.True(t, first)
	again, err := b.Open().Claim(context.Background(), "t_a", thread("1"))
	require.NoError(t, err)
	require.False(t, again, "it was registered already")

	record, _ := read(t, s, thread("1"))
	require.Equal(t, "t_a", record.TenantID)
	require.Len(t, record.History, 1)
	claim := record.History[0]
	require.Equal(t, "registry", claim.Source)
	require.Equal(t, "thread__1__t_a", claim.ID)
	require.False(t, claim.Time.After(record.UpdateTime), "the store's time")
}

func claimConflict(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_a", 1, "e2"))
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"))
	before, _ := read(t, s, thread("1"))
	for _, tenant := range []string{"t_c", "t_a"} {
		_, err := s.Claim(context.Background(), tenant, thread("1"))
		require.ErrorIs(t, err, registry.ErrConflict, tenant)
	}
	created, err := s.Claim(context.Background(), "t_b", thread("1"))
	require.NoError(t, err)
	require.False(t, created, "the owner now, by the fold")
	after, _ := read(t, s, thread("1"))
	require.Equal(t, before, after)
}

func claimRace(t *testing.T, b Backend) {
	tenants := []string{"t_a", "t_b", "t_c", "t_d"}
	stores := make([]Store, len(tenants))
	for i := range stores {
		stores[i] = b.Open()
	}
	for round := range 20 {
		r := thread(fmt.Sprint("r", round))
		won, errs := make([]bool, len(tenants)), make([]error, len(tenants))
		var wg sync.WaitGroup
		for i, tenant := range tenants {
			wg.Go(func() { won[i], errs[i] = stores[i].Claim(context.Background(), tenant, r) })
		}
		wg.Wait()
		winners := 0
		for i, tenant := range tenants {
			if won[i] {
				winners++
				require.NoError(t, errs[i])
				require.Equal(t, tenant, owner(t, stores[0], r))
			} else {
				require.True(t, errors.Is(errs[i], registry.ErrConflict), "%v", errs[i])
			}
		}
		require.Equal(t, 1, winners)
	}
}

func claimAndEvent(t *testing.T, b Backend) {
	s := b.Open()
	_, err := s.Claim(context.Background(), "t_a", thread("claim first"[:5]))
	require.NoError(t, err)
	apply(t, s, created(thread("claim"), "t_a", 1, "e1"))
	require.Equal(t, "t_a", owner(t, s, thread("claim")))
	require.Equal(t, kinds(registry.Duplicate), apply(t, s, created(thread("claim"), "t_a", 1, "e1")))
	require.Empty(t, b.Feed(), "a creation that joins one of the same tenant needs no notice")

	apply(t, s, created(thread("event"), "t_a", 1, "e2"))
	before, _ := read(t, s, thread("event"))
	created, err := s.Claim(context.Background(), "t_a", thread("event"))
	require.NoError(t, err)
	require.False(t, created)
	after, _ := read(t, s, thread("event"))
	require.Equal(t, before, after)
}
