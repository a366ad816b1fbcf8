package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

func BenchmarkDecode(b *testing.B) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	attributes := map[string]string{
		"ce-specversion": "1.0", "ce-id": "evt-0001", "ce-source": "//nexus/threads", "ce-type": "nexus.thread.created.v1",
		"ce-time": at.Format(time.RFC3339Nano), "content-type": "application/json",
	}
	thread := []byte(`{"tenant_id":"t_acme","thread_id":"th_c3ee06d0c2cf4024"}`)
	structured := []byte(`{"specversion":"1.0","id":"evt-0001","source":"//nexus/threads","type":"nexus.thread.created.v1","time":"` +
		at.Format(time.RFC3339Nano) + `","datacontenttype":"application/json","data":` + string(thread) + `}`)
	var refs []string
	for i := range 500 {
		refs = append(refs, fmt.Sprintf(`{"kind":"thread","id":"th_%016d"}`, i))
	}
	move := map[string]string{"ce-type": "nexus.tenant.moved.v1"}
	for name, value := range attributes {
		if _, ok := move[name]; !ok {
			move[name] = value
		}
	}
	moved := []byte(`{"from_tenant_id":"t_acme","to_tenant_id":"t_globex","resources":[` + strings.Join(refs, ",") + `]}`)

	for name, message := range map[string]struct {
		attributes map[string]string
		data       []byte
	}{
		"binary":                {attributes, thread},
		"structured":            {map[string]string{"content-type": "application/cloudevents+json"}, structured},
		"move of 500 resources": {move, moved},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := events.Decode(message.attributes, message.data, at)
				require.NoError(b, err)
			}
		})
	}
}
