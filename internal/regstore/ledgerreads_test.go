package regstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// overtaken is a store whose queries of the ledger wait for a gate, and reads of
// it, each at a position of its own.
type overtaken struct {
	t      *testing.T
	writer *fsregistry.Store
	reader *fsregistry.Store
	meter  *wire.Meter
	open   func()        // the gate
	seen   chan struct{} // a read has found the head
	reads  sync.WaitGroup
}

var oldThread = registry.Resource{Kind: registry.Thread, ID: "old"}

func newOvertaken(t *testing.T) *overtaken {
	p, gate, begun := emulatortest.Firestore(t), make(chan struct{}), &atomic.Bool{}
	o := &overtaken{t: t, writer: open(t, p), meter: wire.NewMeter(), open: sync.OnceFunc(func() { close(gate) }), seen: make(chan struct{}, 1000)}
	requireAll(t, ownership.Applied, o.writer.Apply(t.Context(), []ownership.Change{{Resource: oldThread, Entry: ownership.Entry{
		Type: ownership.Created, Tenant: "t_0", Version: ownership.Version{Time: time.Unix(1, 0).UTC(), Source: "//nexus", ID: "old"}}}}))
	o.reader = open(t, p, append(o.meter.DialOptions(),
		around("BatchGetDocuments", func() {}, func() { o.seen <- struct{}{} }),
		around("RunQuery", func() {
			if begun.Load() {
				<-gate
			}
		}, func() {}))...)
	begun.Store(true)
	o.reader.WaitForQueries(time.Hour)
	for range len(o.seen) { // those of its start
		<-o.seen
	}
	o.meter.Reset()
	t.Cleanup(func() { o.open(); o.reads.Wait() })
	return o
}

// read begins a read that finds the head where it is now, and waits until it has.
func (o *overtaken) read(owner string) {
	at := o.position()
	o.reads.Go(func() {
		snapshot, err := o.reader.Read(context.Background(), []registry.Resource{oldThread})
		if err != nil {
			o.t.Errorf("at position %d: %v", at, err)
		} else if got := snapshot.Records[0].History.Owner(snapshot.Ledger); snapshot.Ledger.Position() != at || got != owner {
			o.t.Errorf("position %d and owner %s, want %d and %s", snapshot.Ledger.Position(), got, at, owner)
		}
	})
	<-o.seen
}

func (o *overtaken) position() int64 {
	snapshot, err := o.writer.Read(context.Background(), nil)
	require.NoError(o.t, err)
	return snapshot.Ledger.Position()
}

func (o *overtaken) queries() int64 { return o.meter.Calls("RunQuery") }

func TestReadsThatTheHeadOvertakesShareTheQueriesOfTheLedger(t *testing.T) {
	o := newOvertaken(t)
	const moves, each = 12, 20 // the head takes a burst of 20 writes
	for i := range moves {
		requireAll(t, ownership.Applied, o.writer.Apply(t.Context(), chain(i)))
		for range each {
			o.read(fmt.Sprint("t_", i+1))
		}
	}
	o.open()
	o.reads.Wait()
	require.EqualValues(t, moves*each, o.meter.Calls("BatchGetDocuments"), "no read is sent again")
	require.LessOrEqual(t, o.queries(), int64(2), "the first read's, and the last's")
}

// The ledger of a time between cannot be made of the others if an entry has
// changed twice.
func TestAReadBetweenAMoveAndItsRetractionFoldsWithTheMove(t *testing.T) {
	o := newOvertaken(t)
	for i := range 3 {
		move := chain(0)
		move[0].Entry.ID = fmt.Sprint("taken back ", i)
		requireAll(t, ownership.Applied, o.writer.Apply(t.Context(), move))
		for range 10 {
			o.read("t_1")
		}
		require.Equal(t, ownership.Applied, o.writer.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: move[0].Entry.ID}, "x", "")})[0].Kind)
		for range 10 {
			o.read("t_0")
		}
	}
	o.open()
	o.reads.Wait()
	require.LessOrEqual(t, o.queries(), int64(1+6), "one for each time at most")
}

func TestAQueryOfTheLedgerThatHangsHoldsUpNoOther(t *testing.T) {
	p, first := emulatortest.Firestore(t), &atomic.Bool{}
	writer, cancelled := open(t, p), make(chan struct{})
	s := open(t, p, grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		if strings.HasSuffix(name, "/RunQuery") && first.CompareAndSwap(true, false) {
			<-ctx.Done()
			close(cancelled)
			return nil, ctx.Err()
		}
		return open(ctx, desc, cc, name, o...)
	}))
	s.WaitForQueries(10 * time.Millisecond)
	first.Store(true)
	requireAll(t, ownership.Applied, writer.Apply(t.Context(), chain(0)))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := s.Read(ctx, nil)
		left <- err
	}()
	require.Eventually(t, func() bool { return !first.Load() }, time.Minute, time.Millisecond)

	snapshot, err := s.Read(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, snapshot.Ledger.Position())
	select {
	case <-cancelled:
		t.Fatal("somebody waits for it")
	default:
	}
	leave()
	require.ErrorIs(t, <-left, registry.ErrUnavailable)
	<-cancelled // nobody waits for it any more
}

func TestAQueryOfTheLedgerThatFailsIsTheErrorOfAllThatWaitForIt(t *testing.T) {
	p, failing := emulatortest.Firestore(t), &atomic.Bool{}
	writer := open(t, p)
	var queries atomic.Int64
	gate := make(chan struct{})
	s := open(t, p, grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		if strings.HasSuffix(name, "/RunQuery") && failing.Load() {
			queries.Add(1)
			<-gate
			return nil, context.DeadlineExceeded
		}
		return open(ctx, desc, cc, name, o...)
	}))
	s.WaitForQueries(time.Hour)
	failing.Store(true)
	requireAll(t, ownership.Applied, writer.Apply(t.Context(), chain(0)))
	const reads = 50
	errs := make(chan error, reads)
	read := func() {
		_, err := s.Read(t.Context(), nil)
		errs <- err
	}
	go read()
	require.Eventually(t, func() bool { return queries.Load() == 1 }, time.Minute, time.Millisecond)
	for range reads - 1 {
		go read()
	}
	require.Eventually(t, func() bool { return s.WantedLedgers() == reads-1 }, time.Minute, time.Millisecond)
	close(gate)
	for range reads {
		require.ErrorIs(t, <-errs, registry.ErrUnavailable)
	}
	require.LessOrEqual(t, queries.Load(), int64(2), "the first read's, and that of all others")
	failing.Store(false)
	snapshot, err := s.Read(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, snapshot.Ledger.Position())
}
