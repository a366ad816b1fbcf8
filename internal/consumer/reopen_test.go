package consumer_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// refused is a client of Pub/Sub, behind the rules and at a distance, whose streams the
// other side ends with a code.
func refused(t *testing.T, options *consumer.PubSubOptions, code codes.Code) (*pubsub.Client, *wire.Faults) {
	t.Helper()
	project, faults := emulatortest.PubSub(t), wire.NewFaults()
	project.PubSubRules.Distance(50 * time.Millisecond)
	proxy, err := wire.NewProxy(project.PubSubHost, faults.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	project.PubSubHost = proxy.Addr()
	options.Subscriptions, options.DeadLetterTopic, options.Streams = subscriptions, deadLetters, 2
	options.Lease, options.ReadyTimeout, options.Monitor = 10*time.Second, 3*time.Second, consumer.NewMonitor()
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(options.DialOptions()...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = admin.Provision(t.Context(), client, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	faults.Disturb(1, wire.Disturbance{Method: "StreamingPull", Share: 1, Code: code})
	return client, faults
}

func TestStreamsThatEndWithAnErrorThatPassesAreToldOfAndOpenedAgain(t *testing.T) {
	for _, code := range []codes.Code{codes.Canceled, codes.ResourceExhausted, codes.Unknown, codes.Unavailable} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel() // it mostly waits
			metrics := newMetrics(t)
			options := consumer.PubSubOptions{MeterProvider: metrics.provider}
			client, faults := refused(t, &options, code)
			worker := work(t, client, options)
			publish(t, client, thread(1))
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				assert.ErrorContains(c, worker.Ready(), "no contact with Pub/Sub")
				assert.ErrorContains(c, worker.Ready(), code.String())
			}, patience, 10*time.Millisecond)
			faults.Disturb(0)
			require.Eventually(t, func() bool { return worker.Ready() == nil && metrics.read()["registry.events"] == 1 }, patience, 10*time.Millisecond)
		})
	}
}

func TestStreamsThatMayNotBeOpenedEndTheWorker(t *testing.T) {
	var options consumer.PubSubOptions
	client, _ := refused(t, &options, codes.PermissionDenied)
	transport, err := consumer.NewPubSub(client, options)
	require.NoError(t, err)
	defer transport.Close()
	c, err := consumer.New(memregistry.New(), transport, consumer.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.ErrorContains(t, c.Run(ctx), "PermissionDenied")
}
