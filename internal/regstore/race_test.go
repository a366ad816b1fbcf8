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
)

// before calls a function before each call of a method, with the number of the
// call, from 1.
func before(method string, do func(n int64)) grpc.DialOption {
	var calls atomic.Int64
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
		if strings.HasSuffix(name, "/"+method) {
			do(calls.Add(1))
		}
		return invoke(ctx, name, req, reply, cc, o...)
	})
}

// mostAtOnce counts the calls of a method that are under way at the same time.
func mostAtOnce(method string) (grpc.DialOption, func() int) {
	var mu sync.Mutex
	now, most := 0, 0
	change := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			if strings.HasSuffix(name, "/"+method) {
				change(1)
				defer change(-1)
			}
			return invoke(ctx, name, req, reply, cc, o...)
		}), func() int {
			mu.Lock()
			defer mu.Unlock()
			return most
		}
}

// moves is one event that names many resources: each history changes, so that
// each document goes together with a feed entry.
func moves(run string, n int, id string) []ownership.Change {
	changes := creations(run, n)
	for i := range changes {
		changes[i].Entry = ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
			Version: ownership.Version{Time: time.Unix(1000, 0).UTC(), Source: "//nexus", ID: id}}
	}
	return changes
}

func TestALostRaceOverOneDocumentSendsTheOthersInHalvesSeveralAtATime(t *testing.T) {
	const documents, rivals = 120, 4
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	rival := open(t, p)
	requireAll(t, ownership.Applied, rival.Apply(t.Context(), creations("x", documents)))
	hot := creations("x", documents)[7]
	var one sync.Mutex
	count, most := mostAtOnce("Commit")
	s := open(t, p, append(meter.DialOptions(), count, before("Commit", func(n int64) {
		one.Lock() // so that all that are sent at once have been read before
		defer one.Unlock()
		if n <= rivals {
			hot.Entry = moves("x", 1, fmt.Sprint("rival", n))[0].Entry
			if o := rival.Apply(context.Background(), []ownership.Change{hot})[0]; o.Err != nil {
				t.Errorf("the rival: %v", o.Err)
			}
		}
	}))...)
	for i, o := range s.Apply(t.Context(), moves("x", documents, "m")) {
		require.Contains(t, []ownership.OutcomeKind{ownership.Applied, ownership.Inapplicable}, o.Kind, "change %d: %v", i, o.Err)
	}
	// One commit of all, then those that were lost, in halves.
	require.LessOrEqual(t, meter.Calls("Commit"), int64(2*(rivals+4)))
	require.Greater(t, most(), 1, "several at a time")
}

func TestTwoWorkersThatMeetOnTheSameResourcesAreBothDoneSoon(t *testing.T) {
	const documents, workers = 200, 3
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	requireAll(t, ownership.Applied, open(t, p).Apply(t.Context(), creations("x", documents)))
	var stores []func() []ownership.Outcome
	for w := range workers {
		s := open(t, p, meter.DialOptions()...)
		stores = append(stores, func() []ownership.Outcome {
			return s.Apply(context.Background(), moves("x", documents, fmt.Sprint("m", w)))
		})
	}
	var all sync.WaitGroup
	for _, apply := range stores {
		all.Go(func() {
			for _, o := range apply() {
				if o.Kind != ownership.Applied && o.Kind != ownership.Inapplicable {
					t.Errorf("%s: %v", o.Kind, o.Err)
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, meter.Calls("Commit"), int64(workers*30), "one document at a time would be hundreds each")
}
