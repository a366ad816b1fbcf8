package pubsubadmin

import (
	"encoding/json"
	"strings"
	"testing"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// Any message of a dead-letter topic is a letter that can be listed, and of which
// nothing is lost that a redrive publishes again. Attributes are given as lines of
// "name: value".
func FuzzDeadLetters(f *testing.F) {
	f.Add("dead-letter-reason: conflict\nce-id: e1\nce-type: nexus.thread.created.v1\nregistry-redrives: 2", []byte(`{"tenant_id":"t_a","thread_id":"th_1"}`))
	f.Add("registry-redrives: -1\ncontent-type: application/cloudevents+json", []byte(`{"specversion":"1.0","id":"e","type":"x","data":{"from_tenant_id":"t_a"}}`))
	f.Add("CE-ID: \xff\ndead-letter-truncated: ", []byte(`{"specversion":1,"data":[]}`))
	f.Add("registry-redrives: 99999", []byte(`{"thread_id":{"a":1}}`))
	f.Add("", []byte(``))
	f.Fuzz(func(t *testing.T, lines string, data []byte) {
		attributes := map[string]string{}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				attributes[name] = value
			}
		}
		l := parseDeadLetter(&pubsubpb.PubsubMessage{Attributes: attributes, Data: data})
		require.GreaterOrEqual(t, l.Redrives, 0)
		require.Equal(t, string(data), string(l.Data))
		for name, value := range attributes {
			if !consumer.IsDeadLetterAttribute(name) {
				require.Equal(t, value, l.Attributes[name])
			}
		}
		_, err := json.Marshal(l)
		require.NoError(t, err)
		_ = Selection{}.Matches(l)
	})
}
