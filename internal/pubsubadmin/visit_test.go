package pubsubadmin_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// behind returns a client at a distance, behind the rules, with a log of some lines.
func behind(t *testing.T, lines int, options ...grpc.DialOption) *pubsub.Client {
	t.Helper()
	project := emulatortest.PubSub(t)
	project.PubSubRules.Distance(50 * time.Millisecond)
	c, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	provisionLog(t, c)
	all := make([]string, lines)
	for i := range all {
		all[i] = fmt.Sprint("line ", i)
	}
	logLines(t, c, all...)
	return c
}

// requireAllRead requires that a log is read to its end, whatever happens after the last
// line of a pull.
func requireAllRead(t *testing.T, c *pubsub.Client, happens func()) {
	t.Helper()
	log, err := admin.OpenLog(t.Context(), c, logTopic, time.Now().Add(-time.Minute), time.Now())
	require.NoError(t, err)
	defer log.Close()
	read := 0
	for _, err := range log.Lines(t.Context()) {
		require.NoError(t, err)
		if read++; read == 1000 {
			happens()
		}
	}
	require.Equal(t, 1100, read)
}

func TestALogIsReadToItsEndThoughItsLinesAreAppliedSlowly(t *testing.T) {
	t.Parallel() // it mostly waits
	requireAllRead(t, behind(t, 1100), func() { time.Sleep(admin.DefaultIdle + time.Second) })
}

func TestALogIsReadToItsEndThoughPubSubIsAwayMeanwhile(t *testing.T) {
	t.Parallel() // it mostly waits
	faults := wire.NewFaults()
	requireAllRead(t, behind(t, 1100, faults.DialOptions()...), func() {
		faults.Disturb(1, wire.Disturbance{Method: "Pull", Share: 1, Code: codes.Unavailable})
		time.AfterFunc(admin.DefaultIdle+time.Second, func() { faults.Disturb(0) })
	})
}

func TestAPubSubThatFallsSilentIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel() // it mostly waits
	faults := wire.NewFaults()
	c := behind(t, 3, faults.DialOptions()...)
	log, err := admin.OpenLog(t.Context(), c, logTopic, time.Now().Add(-time.Minute), time.Now())
	require.NoError(t, err)
	defer log.Close()
	var last error
	for line, err := range log.Lines(t.Context()) {
		if last = err; line.Number == 3 {
			faults.Disturb(1, wire.Disturbance{Share: 1, Delay: time.Hour})
		}
	}
	require.ErrorContains(t, last, "subscription "+logTopic)
	faults.Disturb(0)
}

// The emulator answers at once that it has nothing; thousands of questions a second for
// as long as a look waits would be the whole load of a subscription.
func TestALookThatWaitsAsksSeldom(t *testing.T) {
	t.Parallel() // it mostly waits
	var pulls atomic.Int32
	c := behind(t, 0, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if strings.HasSuffix(method, "/Pull") {
			pulls.Add(1)
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	}))
	_, _, err := admin.ListDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: 2 * time.Second})
	require.NoError(t, err)
	require.LessOrEqual(t, pulls.Load(), int32(11))
}

// A letter that comes late because it was published late says nothing of those that wait.
func TestALookAtLettersEndsThoughNewOnesCome(t *testing.T) {
	t.Parallel() // it mostly waits
	c := behind(t, 0)
	bury(t, c, letter(events.Conflict, "the first"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		publisher := c.Publisher(deadLetters)
		defer publisher.Stop()
		for pause := 200 * time.Millisecond; ctx.Err() == nil; pause = pause * 5 / 2 {
			publisher.Publish(ctx, &pubsub.Message{Attributes: letter(events.Conflict, pause.String())})
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, _, err := admin.ListDeadLetters(soon, c, deadLetters, admin.Selection{Idle: 500 * time.Millisecond})
	require.NoError(t, err)
}
