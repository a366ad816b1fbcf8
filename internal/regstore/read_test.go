package regstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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

// around calls functions before each stream of a method is opened, and after its
// last message has arrived, before anybody sees that.
func around(method string, before, after func()) grpc.DialOption {
	return grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		if !strings.HasSuffix(name, "/"+method) {
			return open(ctx, desc, cc, name, o...)
		}
		before()
		stream, err := open(ctx, desc, cc, name, o...)
		return &watchedStream{stream, after}, err
	})
}

type watchedStream struct {
	grpc.ClientStream
	after func()
}

func (s *watchedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if errors.Is(err, io.EOF) {
		s.after()
	}
	return err
}

// chain moves everything of t_{n} to t_{n+1}: at position n the tenant that
// began as t_0 is t_n.
func chain(n int) []ownership.Change {
	return []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: fmt.Sprint("t_", n), To: fmt.Sprint("t_", n+1),
		Version: ownership.Version{Time: time.Unix(1000+int64(n), 0).UTC(), Source: "//nexus", ID: fmt.Sprint("chain", n)},
	}}}
}

// The head is ahead of what the reader knows whenever it looks, and has moved on
// whenever it looks again.
func TestAReadTakesOneMoreRequestAtMostWhateverTheHeadDoes(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	writer, position := open(t, p), 0
	move := func() {
		requireAll(t, ownership.Applied, writer.Apply(context.Background(), chain(position)))
		position++
	}
	s := open(t, p, append(meter.DialOptions(), around("BatchGetDocuments", move, move), around("RunQuery", move, move))...)
	resource := registry.Resource{Kind: registry.Thread, ID: "1"}
	_, err := writer.Claim(t.Context(), "t_0", resource)
	require.NoError(t, err)
	// The claim's version is later than the moves': none of them moves it.
	old := registry.Resource{Kind: registry.Thread, ID: "old"}
	requireAll(t, ownership.Applied, writer.Apply(t.Context(), []ownership.Change{{Resource: old, Entry: ownership.Entry{
		Type: ownership.Created, Tenant: "t_0", Version: ownership.Version{Time: time.Unix(1, 0).UTC(), Source: "//nexus", ID: "old"}}}}))

	requests := func(do func()) map[string]int64 {
		meter.Reset()
		do()
		return map[string]int64{"get": meter.Calls("BatchGetDocuments"), "query": meter.Calls("RunQuery"), "commit": meter.Calls("Commit")}
	}
	for range 4 {
		require.Equal(t, map[string]int64{"get": 1, "query": 1, "commit": 0}, requests(func() {
			at := position + 1 // one move before the read is sent
			snapshot, err := s.Read(t.Context(), []registry.Resource{old, resource})
			require.NoError(t, err)
			require.EqualValues(t, at, snapshot.Ledger.Position(), "the ledger of the read's own time")
			require.Equal(t, fmt.Sprint("t_", at), snapshot.Records[0].History.Owner(snapshot.Ledger))
			require.Equal(t, "t_0", snapshot.Records[1].History.Owner(snapshot.Ledger))
		}))
	}
	require.Equal(t, map[string]int64{"get": 1, "query": 1, "commit": 1}, requests(func() {
		created, err := s.Claim(t.Context(), "t_new", registry.Resource{Kind: registry.Canvas, ID: "new"})
		require.NoError(t, err)
		require.True(t, created)
	}), "a claim")
	require.Equal(t, map[string]int64{"get": 1, "query": 2, "commit": 0}, requests(func() {
		at := position + 1
		cursor := ownership.NewFeedCursor(nil)
		cursor.Begin(time.Now())
		batch, err := s.Changes(t.Context(), cursor)
		require.NoError(t, err)
		require.EqualValues(t, at, batch.Ledger.Position())
	}), "the change feed, whose entries are one of the queries")
}

func TestAReadThatIsOvertakenByAnotherFoldsWithTheLedgerOfItsOwnTime(t *testing.T) {
	p := emulatortest.Firestore(t)
	writer := open(t, p)
	position, nested := 0, true // until the store is open
	var s *fsregistry.Store
	old := registry.Resource{Kind: registry.Thread, ID: "old"}
	s = open(t, p, around("BatchGetDocuments", func() {
		if !nested {
			requireAll(t, ownership.Applied, writer.Apply(context.Background(), chain(position)))
			position++
		}
	}, func() {
		if nested {
			return
		}
		nested = true
		requireAll(t, ownership.Applied, writer.Apply(context.Background(), chain(position)))
		position++
		snapshot, err := s.Read(context.Background(), nil) // what the process knows is later than what the first read saw
		require.NoError(t, err)
		require.EqualValues(t, position, snapshot.Ledger.Position())
		nested = false
	}))
	nested = false
	requireAll(t, ownership.Applied, writer.Apply(t.Context(), []ownership.Change{{Resource: old, Entry: ownership.Entry{
		Type: ownership.Created, Tenant: "t_0", Version: ownership.Version{Time: time.Unix(1, 0).UTC(), Source: "//nexus", ID: "old"}}}}))
	for range 5 {
		at := position + 1
		snapshot, err := s.Read(t.Context(), []registry.Resource{old})
		require.NoError(t, err)
		require.EqualValues(t, at, snapshot.Ledger.Position())
		require.Equal(t, fmt.Sprint("t_", at), snapshot.Records[0].History.Owner(snapshot.Ledger))
	}
}

// What is read of a database that was set back cannot be folded with what this
// process knows.
func TestALedgerThatWentBackIsAnError(t *testing.T) {
	p := emulatortest.Firestore(t)
	s := open(t, p)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), chain(0)))
	set(t, outside(t, p), "position", 0)
	_, err := s.Read(t.Context(), nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "gone back in time")
}
