package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

// What a create flow that only publishes relies on.
func TestWhatWasJustPublishedIsFoundWithinTheGrace(t *testing.T) {
	t.Parallel()
	const checks, atOnce = 1000, 4
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, url := c.service("run", "--api", "--miss-grace", "2s")
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	topic := client.Publisher("nexus-thread-created")
	defer topic.Stop()

	var group sync.WaitGroup
	for first := range atOnce {
		group.Go(func() {
			for i := first; i < checks; i += atOnce {
				id := fmt.Sprint("th_", i)
				attributes, data, err := events.Encode(events.Event{ID: id, Source: "//test", Time: time.Now().UTC(),
					Data: events.ThreadCreated{TenantID: "t_ada", ThreadID: id}})
				if err == nil {
					_, err = topic.Publish(t.Context(), &pubsub.Message{Attributes: attributes, Data: data}).Get(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
				if status := get(t, url+"/v1/threads/"+id+"/access", "t_ada"); status != http.StatusNoContent {
					t.Errorf("check %d: %d", i, status)
				}
			}
		})
	}
	group.Wait()
}
