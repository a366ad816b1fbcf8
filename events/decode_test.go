package events_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

// Pub/Sub's own attributes are UTF-8; a message from elsewhere may hold anything.
func TestAttributesThatAreNotUTF8AreRefused(t *testing.T) {
	_, err := events.Decode(map[string]string{
		"ce-specversion": "1.0", "ce-id": "e-\xff", "ce-source": "s", "ce-type": "nexus.thread.created.v1", "ce-time": "2026-03-01T12:00:00Z",
	}, []byte(`{"tenant_id":"t_a","thread_id":"x"}`), noon)
	require.EqualError(t, err, "malformed: ce-id: not UTF-8")
}

func TestDecodingChangesNothingThatItWasGiven(t *testing.T) {
	attributes := map[string]string{
		"CE-SpecVersion": "1.0", "ce-id": "e-1", "ce-source": "s", "ce-type": "nexus.thread.created.v1", "ce-time": "2026-03-01T12:00:00Z", "x": "y",
	}
	data := []byte(` {"tenant_id":"t_a","thread_id":"x"} `)
	_, err := events.Decode(attributes, data, noon)
	require.NoError(t, err)
	require.Len(t, attributes, 6)
	require.Equal(t, "1.0", attributes["CE-SpecVersion"])
	require.Equal(t, ` {"tenant_id":"t_a","thread_id":"x"} `, string(data))
}
