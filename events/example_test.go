package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
)

func ExampleDecode() {
	published := time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)
	event, err := events.Decode(map[string]string{
		"ce-specversion": "1.0",
		"ce-id":          "e-1",
		"ce-source":      "//nexus/threads",
		"ce-type":        "nexus.thread.created.v1",
		"ce-time":        "2026-03-01T12:00:00Z",
	}, []byte(`{"tenant_id":"t_acme","thread_id":"th_1"}`), published.Add(5*time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	switch data := event.Data.(type) {
	case events.ThreadCreated:
		fmt.Println(data.TenantID, "created", data.ThreadID)
	}
	// Output: t_acme created th_1
}

// A refusal says which field is at fault.
func ExampleRefusal() {
	_, err := events.Decode(nil, []byte(`{"specversion":"1.0","id":"e-2","source":"//nexus/tenants","type":"nexus.tenant.moved.v1",
		"time":"2026-03-01T12:00:00Z","data":{"from_tenant_id":"t_acme","to_tenant_id":"t_globex","resources":null}}`),
		time.Date(2026, 3, 1, 12, 5, 0, 0, time.UTC))
	var refusal *events.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Reason)
		fmt.Println(refusal.Detail)
	}
	// Output:
	// schema
	// data/resources: is null, not array
}

func ExampleEncode() {
	attributes, data, err := events.Encode(events.Event{
		ID:     "e-1",
		Source: "//nexus/threads",
		Time:   time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Data:   events.ThreadCreated{TenantID: "t_acme", ThreadID: "th_1"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := json.Marshal(attributes) // strings always marshal
	fmt.Println(string(text))
	fmt.Println(string(data))
	// Output:
	// {"ce-id":"e-1","ce-source":"//nexus/threads","ce-specversion":"1.0","ce-time":"2026-03-01T12:00:00Z","ce-type":"nexus.thread.created.v1","content-type":"application/json"}
	// {"tenant_id":"t_acme","thread_id":"th_1"}
}

// A move without resources moves everything that the tenant owns.
func ExampleTenantMoved() {
	move := events.Event{
		ID: "m-1", Source: "//nexus/tenants", Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Data: events.TenantMoved{FromTenantID: "t_acme", ToTenantID: "t_globex", Reason: "merger"},
	}
	_, data, err := events.Encode(move)
	fmt.Println(move.Type().Topic(), string(data), err)
	// Output: nexus-tenant-moved {"from_tenant_id":"t_acme","to_tenant_id":"t_globex","reason":"merger"} <nil>
}

// What a publisher may send, and where to.
func ExamplePublishedTypes() {
	for _, t := range events.PublishedTypes() {
		fmt.Println(t, t.Topic())
	}
	// Output:
	// nexus.thread.created.v1 nexus-thread-created
	// nexus.canvas.created.v1 nexus-canvas-created
	// nexus.tenant.moved.v1 nexus-tenant-moved
	// nexus.thread.deleted.v1 nexus-thread-deleted
	// nexus.canvas.deleted.v1 nexus-canvas-deleted
}
