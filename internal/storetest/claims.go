package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
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

func claimKeepsItsEvent(t *testing.T, b Backend) {
	s := b.Open()
	_, err := s.Claim(context.Background(), "t_a", thread("1"), registry.ForEvent("//nexus/threads", "e1"))
	require.NoError(t, err)
	again, err := s.Claim(context.Background(), "t_a", thread("1"), registry.ForEvent("//nexus/threads", "e2"))
	require.NoError(t, err)
	require.False(t, again)
	want := ownership.EventName{Source: "//nexus/threads", ID: "e1"}
	record, _ := read(t, b.Open(), thread("1"))
	require.Equal(t, want, record.History[0].Event, "that of the claim that stands")

	event := apply(t, s, created(thread("1"), "t_a", 1, "e1"))[0]
	require.Equal(t, ownership.Duplicate, event)
	apply(t, b.Open(), moved(thread("1"), "t_a", "t_b", 5, "m"))
	record, _ = read(t, s, thread("1"))
	require.Equal(t, "t_b", record.TenantID)
	claim, _ := record.History.Claimed()
	require.Equal(t, want, claim.Event, "what is written again keeps it")
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
	require.Equal(t, kinds(ownership.Duplicate), apply(t, s, created(thread("claim"), "t_a", 1, "e1")))
	require.Empty(t, b.Feed(), "a creation that joins one of the same tenant needs no notice")

	apply(t, s, created(thread("event"), "t_a", 1, "e2"))
	before, _ := read(t, s, thread("event"))
	created, err := s.Claim(context.Background(), "t_a", thread("event"))
	require.NoError(t, err)
	require.False(t, created)
	after, _ := read(t, s, thread("event"))
	require.Equal(t, before, after)
}

func claimStands(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 5, "m"))
	claimed, err := s.Claim(context.Background(), "t_a", thread("1"))
	require.NoError(t, err)
	require.True(t, claimed)
	require.Equal(t, kinds(ownership.Duplicate, ownership.Conflict), apply(t, b.Open(), created(thread("1"), "t_a", 1, "its event"), created(thread("1"), "t_evil", 0, "evil")))
	require.Equal(t, "t_a", owner(t, s, thread("1")), "neither an older creation, nor its own event from a machine with a wrong clock, undoes it")
	apply(t, s, tenantMoved("t_a", "t_c", 7, "older too"))
	require.Equal(t, "t_a", owner(t, s, thread("1")), "nor an older move of the whole tenant")
	require.Empty(t, b.Feed())
	record, _ := read(t, s, thread("1"))
	require.Len(t, record.History, 1, "nothing was written")
	later := tenantMoved("t_a", "t_d", 0, "later")
	later.Entry.Time = record.UpdateTime.Add(time.Minute)
	apply(t, s, later)
	require.Equal(t, "t_d", owner(t, s, thread("1")), "a later one moves it")
}

func claimBesideMoves(t *testing.T, b Backend) {
	s := b.Open()
	apply(t, s, moved(thread("squatted"), "t_evil", "t_evil2", 5, "s"), moved(thread("waits"), "t_a", "t_b", 5, "w"))
	require.Equal(t, "t_evil2", owner(t, s, thread("squatted")))
	before, _ := read(t, s, thread("squatted"))
	squatter, err := s.Claim(context.Background(), "t_evil2", thread("squatted"))
	require.NoError(t, err)
	require.False(t, squatter, "what moves alone give is owned already")
	after, _ := read(t, s, thread("squatted"))
	require.Equal(t, before, after, "and stores nothing")

	claimed, err := b.Open().Claim(context.Background(), "t_victim", thread("squatted"))
	require.NoError(t, err)
	require.True(t, claimed, "moves alone do not stand in a claim's way")
	require.Equal(t, "t_victim", owner(t, s, thread("squatted")))
	require.Equal(t, "t_victim", written(t, s, thread("squatted")))
	require.Equal(t, []registry.Resource{thread("squatted")}, b.Feed(), "a claim that joins a document is told of")

	_, err = s.Claim(context.Background(), "t_a", thread("waits"))
	require.ErrorIs(t, err, registry.ErrConflict, "a claim does not get around a move that waits for it")
	var conflict *ownership.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, "t_b", conflict.Owner)
	require.NotContains(t, err.Error(), "t_b")
}

func claimsFromArchives(t *testing.T, b Backend) {
	s := b.Open()
	archived := func(r registry.Resource, tenant string, n int) ownership.Change {
		return ownership.Change{Resource: r, Entry: ownership.ClaimEntry(tenant, r, second(n))}
	}
	apply(t, s, created(thread("1"), "t_a", 1, "e"), tenantMoved("t_a", "t_b", 5, "m"))
	require.Equal(t, "t_b", owner(t, s, thread("1")))
	require.Equal(t, kinds(ownership.Applied), apply(t, s, archived(thread("1"), "t_a", 9)))
	require.Equal(t, "t_a", owner(t, s, thread("1")), "the claim is later than the move")
	require.Equal(t, []registry.Resource{thread("1")}, b.Feed(), "or a cached history would say t_b for ever")
	o := one(t, b.Open(), archived(thread("1"), "t_c", 8))
	require.Equal(t, ownership.Applied, o.Kind)
	require.Equal(t, "t_a", o.Displaced.Tenant)
	require.Equal(t, kinds(ownership.Conflict, ownership.Duplicate), apply(t, s, archived(thread("1"), "t_a", 9), archived(thread("1"), "t_c", 8)))
	require.Equal(t, "t_c", owner(t, s, thread("1")))
}

// Register* in Go as well as PUT: all of them are the store's Claim.
func claimsAreLogged(t *testing.T, b Backend) {
	var log bytes.Buffer
	r := registry.New(b.OpenLogged(slog.New(slog.NewJSONHandler(&log, nil))))
	require.NoError(t, r.RegisterThread(context.Background(), "t_victim", "1"))
	require.NoError(t, r.RegisterThread(context.Background(), "t_victim", "1"))
	require.ErrorIs(t, r.RegisterThread(context.Background(), "t_evil", "1"), registry.ErrConflict)
	require.ErrorIs(t, r.RegisterThread(context.Background(), "evil", "1"), registry.ErrInvalid)

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2, "what is repeated, or invalid, says nothing: %s", log.String())
	var yes, no map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &yes))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &no))
	require.Equal(t, []any{"INFO", "claimed", "thread/1", "t_victim"}, []any{yes["level"], yes["msg"], yes["resource"], yes["tenant_id"]})
	require.Equal(t, []any{"WARN", "thread/1", "t_evil", "t_victim"}, []any{no["level"], no["resource"], no["tenant_id"], no["owner"]})
}
