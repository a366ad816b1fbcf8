package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// fragile is a store that fails after so many calls, as if the process were killed.
type fragile struct {
	erasure.Store
	calls *int
}

var errKilled = errors.New("killed")

func (f fragile) die() bool { *f.calls--; return *f.calls < 0 }

func (f fragile) Forget(ctx context.Context, records []ownership.Record, g ownership.Forget) (ownership.Forgotten, error) {
	if f.die() {
		return ownership.Forgotten{}, errKilled
	}
	return f.Store.Forget(ctx, records, g)
}

func (f fragile) ChangeLedger(ctx context.Context, changes []ownership.LedgerChange) []ownership.Outcome {
	if f.die() {
		return []ownership.Outcome{{Kind: ownership.Failed, Err: errKilled}}
	}
	return f.Store.ChangeLedger(ctx, changes)
}

func (f fragile) Empty(ctx context.Context, name ownership.EventName) error {
	if f.die() {
		return errKilled
	}
	return f.Store.Empty(ctx, name)
}

func TestAnErasureThatIsKilledAnywhereGoesOn(t *testing.T) {
	const calls = 16 // more than there are
	ended := make(chan int, calls)
	t.Run("killed", func(t *testing.T) {
		for kill := range calls {
			t.Run(fmt.Sprintf("after %d calls", kill), func(t *testing.T) {
				t.Parallel() // they mostly wait
				if !killedAndResumed(t, kill) {
					ended <- kill
				}
			})
		}
	})
	close(ended)
	first := calls
	for kill := range ended {
		first = min(first, kill)
	}
	require.Greater(t, first, 8, "it is killed in each step")
	require.Less(t, first, calls, "and in all of them")
}

// killedAndResumed kills an erasure after so many calls, unless it has ended by then,
// and runs it again.
func killedAndResumed(t *testing.T, kill int) (killed bool) {
	s := registryOf(t, 300)
	before := owners(t, s)
	calls, e := kill, eraser(s)
	e.Store = fragile{s, &calls}
	_, err := e.Run(t.Context(), left, "op", "")
	settle(t, s)
	require.Subset(t, owners(t, s), kept(before))
	if err == nil {
		return false
	}
	require.ErrorIs(t, err, errKilled)
	r, err := eraser(s).Run(t.Context(), left, "op", "")
	require.NoError(t, err)
	require.Empty(t, r.Left)
	require.Empty(t, naming(t, s))
	settle(t, s)
	require.Equal(t, kept(before), owners(t, s))
	return true
}

// What fails beside the registry's store, too, is an error that passes.
func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	s := registryOf(t, 3)
	for _, method := range []string{"Query", "Commit", "Get"} {
		e := eraser(s)
		e.DB = docdbtest.Around(s.DB(), func(c *docdbtest.Call, do func() error) error {
			if c.Method == method {
				return status.Error(codes.Unavailable, "the store is down")
			}
			return do()
		})
		if _, err := e.Run(t.Context(), left, "op", ""); method != "Get" || err != nil { // which it may not need
			require.ErrorIs(t, err, registry.ErrUnavailable, method)
		}
		settle(t, s)
	}
}
