package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func TestAnEventIsOneLineWithItsMembersInAFixedOrder(t *testing.T) {
	line, err := json.Marshal(events.Event{
		ID: "e-1", Source: "//nexus/tenants", Time: noon.In(time.FixedZone("", 3600)),
		Subject: "tenant/t_a", DataSchema: "https://example.com/s", TraceParent: "tp",
		Data: events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_b", Resources: []events.ResourceRef{{Kind: "thread", ID: "x"}}},
	})
	require.NoError(t, err)
	require.Equal(t, `{"specversion":"1.0","id":"e-1","source":"//nexus/tenants","type":"nexus.tenant.moved.v1",`+
		`"time":"2026-03-01T12:00:00.123456789Z","datacontenttype":"application/json","subject":"tenant/t_a",`+
		`"dataschema":"https://example.com/s","traceparent":"tp",`+
		`"data":{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"x"}]}}`, string(line))
}

func TestEncodeWritesBinaryModeWithoutEmptyAttributes(t *testing.T) {
	attributes, data, err := events.Encode(events.Event{
		ID: "e-1", Source: "//nexus/threads", Time: noon, Subject: "thread/th_1",
		Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "th_1"},
	})
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "//nexus/threads", "ce-type": "nexus.thread.created.v1",
		"ce-time": "2026-03-01T12:00:00.123456789Z", "ce-subject": "thread/th_1", "content-type": "application/json",
	}, attributes)
	require.Equal(t, `{"tenant_id":"t_a","thread_id":"th_1"}`, string(data))
}

func TestEncodeRefusesWhatDecodeWouldRefuse(t *testing.T) {
	valid := events.Event{ID: "e-1", Source: "s", Time: noon, Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "th_1"}}
	for want, edit := range map[string]func(*events.Event){
		"malformed: ce-id: missing or empty": func(e *events.Event) { e.ID = "" },
		"malformed: ce-time":                 func(e *events.Event) { e.Time = time.Time{} },
		"schema: data/tenant_id":             func(e *events.Event) { e.Data = events.ThreadCreated{TenantID: "A", ThreadID: "x"} },
		"schema: data/to_tenant_id":          func(e *events.Event) { e.Data = events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_a"} },
		"unknown_type":                       func(e *events.Event) { e.Data = archived.Retracted{EventSource: "s", EventID: "i"} },
		"no data":                            func(e *events.Event) { e.Data = nil },
	} {
		event := valid
		edit(&event)
		_, _, err := events.Encode(event)
		require.ErrorContains(t, err, want)
	}
}

func TestAnEventWithoutDataHasNoLine(t *testing.T) {
	_, err := json.Marshal(events.Event{ID: "e-1"})
	require.ErrorContains(t, err, `encode event "e-1": it has no data`)
}

// An empty list must not become "absent", which moves everything.
func TestAMoveOfAnEmptyListIsNotEncoded(t *testing.T) {
	_, _, err := events.Encode(events.Event{ID: "e-1", Source: "s", Time: noon, Data: events.TenantMoved{
		FromTenantID: "t_a", ToTenantID: "t_b", Resources: []events.ResourceRef{},
	}})
	require.ErrorContains(t, err, "data/resources: has 0 items")
}

func TestArchiveEventsAreTheSameEveryTimeAndRoundTrip(t *testing.T) {
	asserted := archived.NewAsserted("t_a", events.ResourceRef{Kind: "canvas", ID: "cv_1"}, noon.In(time.FixedZone("", 3600)))
	require.Equal(t, "asserted/canvas__cv_1/2026-03-01T12:00:00.123456789Z", asserted.ID)
	require.Equal(t, "registry", asserted.Source)
	requireRoundTrips(t, asserted)

	retracted := archived.NewRetracted("//nexus/tenants", "e-5", "", "", noon)
	require.Equal(t, "retracted/4c09b6a5eb1c4e1f80c50e42c7c00ad63d41066c956e4acc84c281d2e8395e4b", retracted.ID)
	requireRoundTrips(t, retracted)
	require.NotEqual(t, retracted.ID, archived.NewRetracted("//nexus/tenantse", "-5", "", "", noon).ID)
}
