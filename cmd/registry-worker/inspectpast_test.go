package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// storedMoves are the entries of a ledger, and how many were read.
type storedMoves struct {
	ownership.LedgerReader
	all  []ownership.LedgerEntry
	read int
}

func (s *storedMoves) MovesNamed(_ context.Context, names []ownership.EventName) (found []ownership.LedgerEntry, _ error) {
	for _, n := range names {
		for _, e := range s.all {
			if e.EventName() == n {
				found = append(found, e)
			}
		}
	}
	s.read += len(names)
	return found, nil
}

// What is read of the ledger is what the fold meets; the owner is the same as if all
// of it were read.
func TestTheOwnerThenIsTheFoldOfAllMovesThatCountedThen(t *testing.T) {
	minute := func(rt *rapid.T, what string) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(0, 12).Draw(rt, what)) * time.Minute)
	}
	tenant := rapid.SampledFrom([]string{"t_a", "t_b", "t_c", "t_d"})
	rapid.Check(t, func(rt *rapid.T) {
		at := minute(rt, "at")
		var h ownership.History
		for i := range rapid.IntRange(0, 3).Draw(rt, "entries") {
			v := ownership.Version{Time: minute(rt, "time"), Source: "s", ID: fmt.Sprint("h", i)}
			e := ownership.Entry{Type: ownership.Created, Tenant: tenant.Draw(rt, "tenant"), Version: v}
			if rapid.Bool().Draw(rt, "moved") {
				e = ownership.Entry{Type: ownership.Moved, From: tenant.Draw(rt, "from"), To: tenant.Draw(rt, "to"), Version: v}
			}
			h, _ = h.Merge(e)
		}
		var then []ownership.LedgerEntry // those that counted
		moves := &storedMoves{}
		for i := range rapid.IntRange(0, 8).Draw(rt, "moves") {
			e := ownership.LedgerEntry{
				Version: ownership.Version{Time: minute(rt, "time"), Source: "s", ID: fmt.Sprint("m", i)},
				From:    tenant.Draw(rt, "from"), To: tenant.Draw(rt, "to"), Position: int64(i) + 1, ChangedAt: minute(rt, "changed"),
			}
			counted, retracted := !e.ChangedAt.After(at), rapid.Bool().Draw(rt, "retracted")
			if retracted {
				e.Retractions = []ownership.Said{{At: minute(rt, "retracted at")}}
				counted = e.Retractions[0].At.After(at)
			}
			if moves.all = append(moves.all, e); counted && !e.Time.After(at) {
				e.Retractions = nil
				then = append(then, e)
			}
		}
		p := newPast(at, h, ownership.NewLedger(int64(len(moves.all)), moves.all))
		require.NoError(rt, p.settle(t.Context(), moves))
		want := p.history.Explain(ownership.NewLedger(int64(len(moves.all)), then))
		require.Equal(rt, want, p.steps)
		require.LessOrEqual(rt, moves.read, len(moves.all), "each at most once")
	})
}

// Of a ledger of any size an inspection reads what its fold meets.
func TestInspectOfATimeReadsTheMovesOfItsResourceAlone(t *testing.T) {
	t.Parallel()
	const others = 700
	meter := wire.NewMeter()
	project := emulatortest.Firestore(t)
	store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions(meter.DialOptions()...), LedgerRate: 1e6})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	thread := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	version := func(id string, minutes int) ownership.Version {
		return ownership.Version{Time: noon.Add(time.Duration(minutes) * time.Minute), Source: "//test", ID: id}
	}
	move := func(id, from, to string) ownership.Change {
		return ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: from, To: to, Version: version(id, 1)}}
	}
	changes := []ownership.Change{
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Created, Tenant: "t_ada", Version: version("c", 0)}},
		move("hers", "t_ada", "t_bob"),
	}
	for i := range others {
		changes = append(changes, move(fmt.Sprint("m", i), fmt.Sprint("t_", i), "t_bob"))
	}
	apply := func(changes []ownership.Change) {
		for some := range slices.Chunk(changes, 500) {
			for _, o := range store.Apply(t.Context(), some) {
				require.Equal(t, ownership.Applied, o.Kind, "%v", o.Err)
			}
		}
	}
	apply(changes)
	between, err := store.Read(t.Context(), nil)
	require.NoError(t, err)
	apply([]ownership.Change{ownership.Retraction(ownership.Version{Source: "//test", ID: "hers"}, "ann", "no")})
	_, err = store.Read(t.Context(), nil)
	require.NoError(t, err)

	meter.Reset()
	found, err := ownerAt(t.Context(), store, store, thread, between.ReadTime)
	require.NoError(t, err)
	require.Equal(t, "t_bob", found.Owner)
	require.Len(t, found.Retracted, 1)
	require.EqualValues(t, 1, meter.Reads(fsregistry.Collection))
	require.EqualValues(t, 1+1, meter.Reads(fsregistry.LedgerCollection), "the head, and one move of %d", others)
}
