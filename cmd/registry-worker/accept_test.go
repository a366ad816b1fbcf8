package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// said is one row of who may say what.
type said struct {
	topic, typ, source string
	age                time.Duration
	refused            string // the reason; empty: it is taken
}

const (
	createdThread = "nexus.thread.created.v1"
	createdCanvas = "nexus.canvas.created.v1"
	movedTenant   = "nexus.tenant.moved.v1"

	threadTopic, canvasTopic, moveTopic = "nexus-thread-created", "nexus-canvas-created", "nexus-tenant-moved"
	boundTopic, openTopic               = "partner-bound", "partner-open" // with a subscription of another name

	nexus = "//nexus/prod"
)

var whoMaySayWhat = []said{
	// A subscription with a default name carries its own type.
	{threadTopic, createdThread, nexus, 0, ""},
	{threadTopic, createdCanvas, nexus, 0, "unknown_type"},
	{threadTopic, movedTenant, nexus, 0, "unknown_type"},
	{canvasTopic, createdThread, nexus, 0, "unknown_type"},
	{canvasTopic, createdCanvas, nexus, 0, ""},
	{canvasTopic, movedTenant, nexus, 0, "unknown_type"},
	{moveTopic, createdThread, nexus, 0, "unknown_type"},
	{moveTopic, createdCanvas, nexus, 0, "unknown_type"},
	{moveTopic, movedTenant, nexus, 0, ""},
	// One of another name carries what --accept says, or everything.
	{boundTopic, createdThread, nexus, 0, "unknown_type"},
	{boundTopic, createdCanvas, nexus, 0, ""},
	{boundTopic, movedTenant, nexus, 0, ""},
	{openTopic, createdThread, nexus, 0, ""},
	{openTopic, createdCanvas, nexus, 0, ""},
	{openTopic, movedTenant, nexus, 0, ""},
	// What occurs in archives only is published by nobody.
	{openTopic, "registry.claimed.v1", nexus, 0, "unknown_type"},
	{openTopic, "registry.asserted.v1", nexus, 0, "unknown_type"},
	{openTopic, "registry.retracted.v1", nexus, 0, "unknown_type"},
	// Sources are bound by type; nobody outside is the registry.
	{moveTopic, movedTenant, "//evil", 0, "foreign_source"},
	{openTopic, movedTenant, "//nexus", 0, "foreign_source"},
	{canvasTopic, createdCanvas, "//evil", 0, ""},
	{threadTopic, createdThread, "registry", 0, "foreign_source"},
	{canvasTopic, createdCanvas, "registry", 0, "foreign_source"},
	{moveTopic, movedTenant, "registry", 0, "foreign_source"},
	// Neither long before its publication, nor after it.
	{threadTopic, createdThread, nexus, 59 * time.Minute, ""},
	{threadTopic, createdThread, nexus, 61 * time.Minute, "from_past"},
	{threadTopic, createdThread, nexus, 290 * 365 * 24 * time.Hour, "from_past"},
	{moveTopic, movedTenant, nexus, 61 * time.Minute, "from_past"},
	{threadTopic, createdThread, nexus, -4 * time.Minute, ""},
	{threadTopic, createdThread, nexus, -6 * time.Minute, "from_future"},
}

// data is that of row i, whose tenants and resources are its own.
func (s said) data(i int) string {
	switch s.typ {
	case createdThread:
		return fmt.Sprintf(`{"tenant_id":"t_row%d","thread_id":"row%d"}`, i, i)
	case createdCanvas:
		return fmt.Sprintf(`{"tenant_id":"t_row%d","canvas_id":"row%d"}`, i, i)
	case movedTenant:
		return fmt.Sprintf(`{"from_tenant_id":"t_row%d","to_tenant_id":"t_to%d"}`, i, i)
	}
	return fmt.Sprintf(`{"tenant_id":"t_row%d","resource":{"kind":"thread","id":"row%d"}}`, i, i)
}

func TestWhoMaySayWhat(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = append(c.env, "REGISTRY_SUBSCRIPTIONS="+strings.Join([]string{
		threadTopic + ".realtime-registry", canvasTopic + ".realtime-registry", moveTopic + ".realtime-registry",
		boundTopic + ".sub", openTopic + ".sub",
	}, ","), "REGISTRY_MAX_EVENT_AGE=1h")
	c.run(exitDone, "provision")
	p, _ := c.service("run", "--streams", "1", "--lease", "10s",
		"--accept", boundTopic+".sub="+createdCanvas+","+boundTopic+".sub="+movedTenant,
		"--sources", movedTenant+"=//nexus/*")
	client, err := pubsub.NewClient(t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(t, err)
	defer client.Close()
	for i, row := range whoMaySayWhat {
		publisher := client.Publisher(row.topic)
		_, err := publisher.Publish(t.Context(), &pubsub.Message{Data: []byte(row.data(i)), Attributes: map[string]string{
			"ce-specversion": "1.0", "ce-id": fmt.Sprintf("row%d", i), "ce-source": row.source, "ce-type": row.typ,
			"ce-time": time.Now().Add(-row.age).UTC().Format(time.RFC3339Nano),
		}}).Get(t.Context())
		require.NoError(t, err)
		publisher.Stop()
	}

	taken, refused := map[string]bool{}, map[string]string{}
	for i, row := range whoMaySayWhat {
		if row.refused == "" {
			taken[fmt.Sprintf("row%d", i)] = true
		} else {
			refused[fmt.Sprintf("row%d", i)] = row.refused
		}
	}
	require.Eventually(t, func() bool {
		n := 0
		for line := range strings.Lines(c.run(exitDone, "export", "--events").Stdout.String()) {
			var e struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(line), &e))
			if taken[e.ID] {
				n++
			}
			require.Empty(t, refused[e.ID], "%s was taken", e.ID)
		}
		return n == len(taken)
	}, time.Minute, 300*time.Millisecond)

	got := map[string]string{}
	require.Eventually(t, func() bool {
		letters, _, err := admin.ListDeadLetters(t.Context(), client, "realtime-registry-dead-letters", admin.Selection{Idle: 2 * time.Second})
		require.NoError(t, err)
		for _, l := range letters {
			got[l.EventID] = string(l.Reason)
		}
		return len(got) == len(refused)
	}, time.Minute, 100*time.Millisecond)
	require.Equal(t, refused, got)
	require.Contains(t, p.Stderr.String(), `"subscription":"`+openTopic+`.sub","wanted":"--accept `+openTopic+`.sub=TYPE"`)
	require.NotContains(t, p.Stderr.String(), "--accept "+boundTopic)

	c.replay(event("of-1999", createdThread, "1999-12-31T23:59:59Z", `{"tenant_id":"t_archive","thread_id":"archived"}`))
	require.Contains(t, c.run(exitDone, "inspect", "thread", "archived").Stdout.String(), "owned by t_archive", "archives may be of any age")
}
