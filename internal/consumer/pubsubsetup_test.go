package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

const (
	threads     = "nexus-thread-created.realtime-registry"
	canvases    = "nexus-canvas-created.realtime-registry"
	moves       = "nexus-tenant-moved.realtime-registry"
	deadLetters = "realtime-registry-dead-letters"
)

var subscriptions = []string{threads, canvases, moves}

// patience bounds what a test awaits; it is reached only if something is wrong.
const patience = 60 * time.Second

func provisioned(t testing.TB) *pubsub.Client {
	t.Helper()
	project := emulatortest.PubSub(t)
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = admin.Provision(t.Context(), client, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	return client
}

// start runs a consumer until stop is called, or the test ends.
func start(t testing.TB, client *pubsub.Client, store ownership.Store, opts consumer.Options) (c *consumer.Consumer, stop func() error) {
	t.Helper()
	transport, err := consumer.NewPubSub(client, consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 4,
		Lease: 10 * time.Second, // what is sent ahead to a stream that ends is out of sight for so long
	})
	require.NoError(t, err)
	c, err = consumer.New(store, transport, opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stopped := false
	stop = func() (err error) {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err = <-ended:
		case <-time.After(patience):
			err = errors.New("the consumer did not stop")
		}
		transport.Close()
		return err
	}
	t.Cleanup(func() { require.NoError(t, stop()) })
	return c, stop
}

func thread(i int) events.Event {
	return events.Event{
		ID: fmt.Sprintf("e%d", i), Source: "//nexus/test", Time: time.Now().UTC(),
		Data: events.ThreadCreated{TenantID: "t_a", ThreadID: fmt.Sprintf("th_%d", i)},
	}
}

func publish(t testing.TB, client *pubsub.Client, all ...events.Event) {
	t.Helper()
	p := admin.NewPublisher(client)
	for _, e := range all {
		require.NoError(t, p.Publish(t.Context(), e, func(err error) { require.NoError(t, err) }))
	}
	p.Close()
}

func raw(t testing.TB, client *pubsub.Client, topic string, m *pubsub.Message) {
	t.Helper()
	p := client.Publisher(topic)
	defer p.Stop()
	_, err := p.Publish(t.Context(), m).Get(t.Context())
	require.NoError(t, err)
}

// owners counts the resources of each tenant.
func owners(t testing.TB, store ownership.Store) map[string]int {
	t.Helper()
	n := map[string]int{}
	require.NoError(t, store.Export(t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		n[r.History.Owner(l)]++
		return nil
	}))
	return n
}

func letters(t testing.TB, client *pubsub.Client) []admin.DeadLetter {
	t.Helper()
	all, _, err := admin.ListDeadLetters(t.Context(), client, deadLetters, admin.Selection{Idle: 2 * time.Second})
	require.NoError(t, err)
	return all
}
