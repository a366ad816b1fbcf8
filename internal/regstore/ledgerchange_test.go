package regstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

const ledgerCollection = prefix + fsregistry.LedgerCollection

// tenantMoves are n moves of everything that a tenant has, each a tenant's own.
func tenantMoves(run string, n int) []ownership.Change {
	changes := make([]ownership.Change, n)
	for i := range changes {
		changes[i].Entry = ownership.Entry{Type: ownership.Moved, From: fmt.Sprint("t_", run, i), To: "t_z",
			Version: ownership.Version{Time: time.Unix(1000, 0).UTC(), Source: "//nexus", ID: fmt.Sprint(run, i)}}
	}
	return changes
}

// onLedgerCommit calls a function for each commit to the ledger, before it is
// sent; an error takes its place.
func onLedgerCommit(do func(*firestorepb.CommitRequest) error) grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		if commit, ok := req.(*firestorepb.CommitRequest); ok && strings.Contains(commit.Writes[0].GetUpdate().GetName(), ledgerCollection) {
			if err := do(commit); err != nil {
				return err
			}
		}
		return invoke(ctx, name, req, reply, cc, o...)
	})
}

func TestAllMovesOfABatchAreOneCommit(t *testing.T) {
	const n = 500
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s := open(t, p, meter.DialOptions()...)
	meter.Reset()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("m", n)))
	require.EqualValues(t, 1, meter.Calls("Commit"))
	require.EqualValues(t, 1, meter.Calls("BatchGetDocuments"))
	require.Zero(t, meter.Calls("RunQuery"), "what was committed need not be read")
	require.EqualValues(t, n+1, meter.Reads(ledgerCollection), "each entry, and the head once")
	require.EqualValues(t, n+1, meter.Writes(ledgerCollection))

	for _, reader := range []*fsregistry.Store{s, open(t, p)} {
		snapshot, err := reader.Read(t.Context(), nil)
		require.NoError(t, err)
		require.EqualValues(t, n, snapshot.Ledger.Position())
		require.Equal(t, n, snapshot.Ledger.Len())
		for e := range snapshot.Ledger.Moves() {
			require.Equal(t, fmt.Sprint("m", e.Position-1), e.ID, "positions are in the order of the changes")
		}
	}
	meter.Reset()
	requireAll(t, ownership.Duplicate, s.Apply(t.Context(), tenantMoves("m", n)))
	require.Zero(t, meter.Calls("Commit"))
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("more", n+100)))
	require.EqualValues(t, 2, meter.Calls("Commit"), "no more than 500 at once")
}

func TestMovesThatComeWhileTheLedgerIsWrittenAreOneCommit(t *testing.T) {
	const callers, each = 32, 10
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	writing, gate := make(chan struct{}, 100), make(chan struct{})
	s := open(t, p, append(meter.DialOptions(), onLedgerCommit(func(*firestorepb.CommitRequest) error {
		writing <- struct{}{}
		<-gate
		return nil
	}))...)
	var all sync.WaitGroup
	apply := func(run string, n int) {
		all.Go(func() {
			for _, o := range s.Apply(context.Background(), tenantMoves(run, n)) {
				if o.Kind != ownership.Applied {
					t.Errorf("%s: %v", o.Kind, o.Err)
				}
			}
		})
	}
	apply("first", 1)
	<-writing
	meter.Reset()
	for i := range callers {
		apply(fmt.Sprint("caller", i, "-"), each)
	}
	require.Eventually(t, func() bool { return s.WaitingForTheLedger() == callers*each }, 10*time.Second, time.Millisecond)
	close(gate)
	all.Wait()
	require.EqualValues(t, 2, meter.Calls("Commit"), "the first, and one for all others")
}

func TestCreationsAreAppliedWhileTheLedgersCommitHangs(t *testing.T) {
	p := emulatortest.Firestore(t)
	writing, gate := make(chan struct{}, 100), make(chan struct{})
	s := open(t, p, onLedgerCommit(func(*firestorepb.CommitRequest) error {
		writing <- struct{}{}
		<-gate
		return nil
	}))
	mixed := make(chan []ownership.Outcome, 1)
	go func() { mixed <- s.Apply(context.Background(), append(tenantMoves("m", 60), creations("x", 20)...)) }()
	<-writing
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("y", 20)))
	_, err := s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Canvas, ID: "c"})
	require.NoError(t, err)
	other := open(t, p)
	require.Eventually(t, func() bool { // also those of the very same batch
		snapshot, err := other.Read(t.Context(), []registry.Resource{creations("x", 20)[19].Resource})
		return err == nil && snapshot.Records[0].Exists()
	}, 10*time.Second, time.Millisecond)
	close(gate)
	requireAll(t, ownership.Applied, <-mixed)
}

func TestAChangeThatTheServiceRefusesHoldsUpNoOther(t *testing.T) {
	s := open(t, emulatortest.Firestore(t), onLedgerCommit(func(c *firestorepb.CommitRequest) error {
		for _, w := range c.Writes {
			if w.GetUpdate().GetFields()["id"].GetStringValue() == "m13" {
				return status.Error(codes.InvalidArgument, "not this one")
			}
		}
		return nil
	}))
	for i, o := range s.Apply(t.Context(), tenantMoves("m", 40)) {
		if i == 13 {
			require.Equal(t, ownership.Failed, o.Kind)
			require.ErrorIs(t, o.Err, registry.ErrUnavailable)
		} else {
			require.Equal(t, ownership.Applied, o.Kind, "change %d: %v", i, o.Err)
		}
	}
	require.Zero(t, s.GivesWay(), "it was refused, and lost no race")
}

func TestALostRaceForTheHeadIsRunAgain(t *testing.T) {
	p := emulatortest.Firestore(t)
	rival, races := open(t, p), 3
	s := open(t, p, onLedgerCommit(func(*firestorepb.CommitRequest) error {
		if races--; races >= 0 {
			requireAll(t, ownership.Applied, rival.Apply(context.Background(), tenantMoves(fmt.Sprint("rival", races), 2)))
		}
		return nil
	}))
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("m", 5)))
	snapshot, err := s.Read(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 3*2+5, snapshot.Ledger.Position())
	require.Equal(t, 3*2+5, snapshot.Ledger.Len())
}

func TestAMoveIsGivenUpWithItsCaller(t *testing.T) {
	writing, gate := make(chan struct{}, 100), make(chan struct{})
	s := open(t, emulatortest.Firestore(t), onLedgerCommit(func(*firestorepb.CommitRequest) error {
		writing <- struct{}{}
		<-gate
		return nil
	}))
	first := make(chan []ownership.Outcome, 1)
	go func() { first <- s.Apply(context.Background(), tenantMoves("first", 1)) }()
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Apply(ctx, tenantMoves("late", 1))[0].Err, registry.ErrUnavailable, "it waits for no longer than its ctx")
	close(gate)
	requireAll(t, ownership.Applied, <-first)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("next", 1)))
	snapshot, err := s.Read(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 2, snapshot.Ledger.Position(), "and is not committed behind its back")
}
