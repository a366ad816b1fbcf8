package pubsubadmin_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// redriving are options of a redrive of all letters.
func redriving(idle time.Duration) admin.RedriveOptions {
	return admin.RedriveOptions{
		Selection: admin.Selection{Idle: idle}, To: []string{threads, moves, "gone"}, By: "alice",
	}
}

// figures are those of a report: redriven, refused again, exhausted, left.
func figures(r admin.RedriveReport) [4]int { return [4]int{r.Total, r.Again, r.Exhausted, r.Left} }

// letter is a dead letter as the worker publishes it.
func letter(reason events.Reason, id string, more ...string) map[string]string {
	a := map[string]string{
		consumer.ReasonAttribute: string(reason), consumer.DetailAttribute: "no good", consumer.MessageIDAttribute: "m-" + id,
		consumer.SubscriptionAttribute: threads, "ce-id": id, "ce-type": "nexus.thread.created.v1",
	}
	for i := 0; i < len(more); i += 2 {
		a[more[i]] = more[i+1]
	}
	return a
}

// bury publishes dead letters.
func bury(t *testing.T, c *pubsub.Client, letters ...map[string]string) {
	t.Helper()
	topic := c.Publisher(deadLetters)
	defer topic.Stop()
	var results []*pubsub.PublishResult
	for _, attributes := range letters {
		results = append(results, topic.Publish(t.Context(), &pubsub.Message{Data: []byte("x"), Attributes: attributes}))
	}
	for _, result := range results {
		_, err := result.Get(t.Context())
		require.NoError(t, err)
	}
}

// waiting are the ids of the events of the letters that wait.
func waiting(t *testing.T, c *pubsub.Client) (ids []string) {
	t.Helper()
	letters, _ := list(t, c, 0)
	for _, l := range letters {
		ids = append(ids, l.EventID)
	}
	return ids
}

// refuse publishes messages that a worker will refuse, and runs it until it has.
func refuse(t *testing.T, c *pubsub.Client, n int) {
	t.Helper()
	topic := c.Publisher("nexus-thread-created")
	defer topic.Stop()
	for i := range n {
		_, err := topic.Publish(t.Context(), &pubsub.Message{
			Data: []byte("not an event"), Attributes: map[string]string{"n": fmt.Sprint(i)},
		}).Get(t.Context())
		require.NoError(t, err)
	}
}

// work runs a worker until the test ends, or stop is called.
func work(t *testing.T, c *pubsub.Client) (stop func()) {
	t.Helper()
	transport, err := consumer.NewPubSub(c, consumer.PubSubOptions{
		Subscriptions: []string{threads, moves}, DeadLetterTopic: deadLetters, Streams: 1,
	})
	require.NoError(t, err)
	worker, err := consumer.New(memregistry.New(), transport, consumer.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-ended)
		transport.Close()
	}
	t.Cleanup(stop)
	return stop
}

func list(t *testing.T, c *pubsub.Client, limit int) ([]admin.DeadLetter, bool) {
	t.Helper()
	letters, extent, err := admin.ListDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: idle, Limit: limit})
	require.NoError(t, err)
	return letters, extent.More
}

func TestListingDeadLettersConsumesNone(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	refuse(t, c, 5)
	work(t, c)
	require.Eventually(t, func() bool { letters, _ := list(t, c, 100); return len(letters) == 5 }, time.Minute, time.Millisecond)

	for range 2 {
		letters, more := list(t, c, 100)
		require.False(t, more)
		require.Len(t, letters, 5)
		require.Equal(t, events.Malformed, letters[0].Reason)
		require.NotEmpty(t, letters[0].Detail)
		require.Equal(t, threads, letters[0].Subscription)
		require.Equal(t, []byte("not an event"), letters[0].Data)
		require.Equal(t, map[string]string{"n": letters[0].Attributes["n"]}, letters[0].Attributes)
	}
	letters, more := list(t, c, 3)
	require.Len(t, letters, 3)
	require.True(t, more)
}

// The emulator takes ever longer for an answer if it has a million messages.
func TestLettersThatComeEverMoreSlowlyAreAllSeen(t *testing.T) {
	t.Parallel() // it mostly waits
	project := emulatortest.PubSub(t)
	project.PubSubRules.Distance(50 * time.Millisecond)
	var pulls atomic.Int64
	slowly := func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if pull, ok := request.(*pubsubpb.PullRequest); ok {
			pull.MaxMessages = 1
			select {
			case <-time.After(time.Duration(min(pulls.Add(1)-1, 2)) * 800 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		return invoke(ctx, method, request, answer, conn, options...)
	}
	c, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(grpc.WithChainUnaryInterceptor(slowly))...)
	require.NoError(t, err)
	defer c.Close()
	_, err = admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	bury(t, c, letter(events.Conflict, "1"), letter(events.Conflict, "2"), letter(events.Conflict, "3"))
	letters, _, err := admin.ListDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: time.Second})
	require.NoError(t, err)
	require.Len(t, letters, 3)
}

func TestRedrivingPublishesEachAgainAsItWasAndOnce(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	refuse(t, c, 20)
	stop := work(t, c)
	require.Eventually(t, func() bool { letters, _ := list(t, c, 100); return len(letters) == 20 }, time.Minute, time.Millisecond)
	stop()

	report, err := admin.Redrive(t.Context(), c, deadLetters, redriving(idle))
	require.NoError(t, err)
	require.Equal(t, [4]int{20, 0, 0, 0}, figures(report))
	letters, _ := list(t, c, 100)
	require.Empty(t, letters)

	numbers := map[string]int{}
	for _, m := range receive(t, c, threads, 20) {
		require.Equal(t, []byte("not an event"), m.Data)
		require.NotEmpty(t, m.Attributes[consumer.RedriveAttribute])
		require.Equal(t, "1", m.Attributes[consumer.RedrivesAttribute])
		require.Equal(t, "alice", m.Attributes[consumer.RedrivenByAttribute])
		require.Len(t, m.Attributes, 4)
		numbers[m.Attributes["n"]]++
	}
	require.Len(t, numbers, 20)
}

func TestRedrivingEndsThoughTheWorkerRefusesEverythingAgain(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	refuse(t, c, 10)
	work(t, c)
	require.Eventually(t, func() bool { letters, _ := list(t, c, 100); return len(letters) == 10 }, time.Minute, time.Millisecond)

	report, err := admin.Redrive(t.Context(), c, deadLetters, redriving(2*time.Second))
	require.NoError(t, err)
	require.Equal(t, [4]int{10, 10, 0, 0}, figures(report))
	letters, _ := list(t, c, 100)
	require.Len(t, letters, 10)
}

func TestADeadLetterThatCannotBePublishedAgainIsLeft(t *testing.T) {
	t.Parallel() // it mostly waits
	c := provisioned(t)
	topic := c.Publisher(deadLetters)
	defer topic.Stop()
	for _, attributes := range []map[string]string{
		{consumer.SubscriptionAttribute: threads, consumer.MessageIDAttribute: "7", consumer.TruncatedAttribute: "9999999"},
		{consumer.SubscriptionAttribute: "gone", consumer.MessageIDAttribute: "8"},
		{consumer.SubscriptionAttribute: "gone", "ce-type": "nexus.tenant.moved.v1", "n": "by its type"},
		{consumer.SubscriptionAttribute: "of.somebody-else", "ce-type": "nexus.tenant.moved.v1"},
	} {
		_, err := topic.Publish(t.Context(), &pubsub.Message{Data: []byte("x"), Attributes: attributes}).Get(t.Context())
		require.NoError(t, err)
	}
	report, err := admin.Redrive(t.Context(), c, deadLetters, redriving(idle))
	require.ErrorContains(t, err, "message 7: it was too big")
	require.ErrorContains(t, err, "message 8: it is not known from which topic it came")
	require.ErrorContains(t, err, `subscription "of.somebody-else", from which it says that it came, is none of --subscriptions`)
	require.Equal(t, [4]int{1, 0, 0, 3}, figures(report))
	require.Equal(t, "by its type", receive(t, c, moves, 1)[0].Attributes["n"])
	letters, _ := list(t, c, 100)
	require.Len(t, letters, 3)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel() // it mostly waits
	c := client(t)
	_, _, err := admin.ListDeadLetters(t.Context(), c, deadLetters, admin.Selection{Idle: idle})
	require.ErrorContains(t, err, "list dead letters: subscription "+deadLetters)
	_, err = admin.Redrive(t.Context(), c, deadLetters, redriving(idle))
	require.ErrorContains(t, err, "redrive: subscription "+deadLetters)
}
