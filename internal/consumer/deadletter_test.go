package consumer

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
)

func TestADeadLetterIsTheMessageAndWhyItWasRefused(t *testing.T) {
	published := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	m := Message{
		ID: "42", Subscription: "nexus-thread-created.realtime-registry", PublishTime: published,
		Attributes: map[string]string{"ce-id": "e1", "other": "kept", ReasonAttribute: "of an earlier time", TruncatedAttribute: "7"},
		Data:       []byte(`{"tenant_id":1}`),
	}
	letter := newDeadLetter(m, &events.Refusal{Reason: events.Schema, Detail: "/tenant_id: not a string"})
	require.Equal(t, m.Data, letter.Data)
	require.Equal(t, map[string]string{
		"ce-id": "e1", "other": "kept",
		"dead-letter-reason":       "schema",
		"dead-letter-detail":       "/tenant_id: not a string",
		"dead-letter-message-id":   "42",
		"dead-letter-subscription": "nexus-thread-created.realtime-registry",
		"dead-letter-publish-time": "2026-03-01T12:00:00.000000005Z",
	}, letter.Attributes)
	require.Equal(t, "of an earlier time", m.Attributes[ReasonAttribute], "the message was changed")
}

func TestADetailIsCutOffAtARuneAndIsValidText(t *testing.T) {
	detail := strings.Repeat("x", 1023) + "é" + "\xff"
	letter := newDeadLetter(Message{}, &events.Refusal{Reason: events.Schema, Detail: detail})
	require.Equal(t, strings.Repeat("x", 1023), letter.Attributes[DetailAttribute])

	letter = newDeadLetter(Message{}, &events.Refusal{Reason: events.Schema, Detail: "a\xffb"})
	require.Equal(t, "a\uFFFDb", letter.Attributes[DetailAttribute])
	require.True(t, utf8.ValidString(letter.Attributes[DetailAttribute]))
}

func TestADeadLetterAlwaysFitsIntoAMessage(t *testing.T) {
	attributes := map[string]string{"zz": "left out", "ce-id": "kept", "Content-Type": "kept"}
	for i := range 97 {
		attributes[fmt.Sprintf("a%03d-%s", i, strings.Repeat("k", 250))] = strings.Repeat("v", 1024)
	}
	m := Message{Attributes: attributes, Data: make([]byte, 9_900_000)}
	letter := newDeadLetter(m, &events.Refusal{Reason: events.TooLarge, Detail: strings.Repeat("d", 5000)})

	require.LessOrEqual(t, len(letter.Attributes), maxAttributes)
	require.Equal(t, "10", letter.Attributes[DroppedAttribute])
	require.Equal(t, "kept", letter.Attributes["ce-id"])
	require.Equal(t, "kept", letter.Attributes["Content-Type"])
	require.NotContains(t, letter.Attributes, "zz")
	require.Equal(t, "9900000", letter.Attributes[TruncatedAttribute])
	size := len(letter.Data)
	for k, v := range letter.Attributes {
		size += len(k) + len(v)
	}
	require.Less(t, size, maxMessageBytes)
	require.Greater(t, size, maxMessageBytes-10_000, "cut off more than was needed")
}

// Else a message with many attributes would be redriven for ever.
func TestALetterKeepsWhatARedriveHasNotedAndIsNotCutOffByIt(t *testing.T) {
	attributes := map[string]string{}
	for i := range 120 {
		attributes[fmt.Sprintf("a%03d", i)] = "v"
	}
	letter := newDeadLetter(Message{Attributes: attributes}, &events.Refusal{Reason: events.Schema})
	require.Equal(t, "30", letter.Attributes[DroppedAttribute])

	delete(letter.Attributes, DroppedAttribute)
	for _, name := range []string{RedriveAttribute, RedrivesAttribute, RedrivenByAttribute} {
		letter.Attributes[name] = "noted"
	}
	again := newDeadLetter(Message{Attributes: letter.Attributes}, &events.Refusal{Reason: events.Schema})
	require.NotContains(t, again.Attributes, DroppedAttribute)
	require.Equal(t, "noted", again.Attributes[RedriveAttribute])
	require.Equal(t, "noted", again.Attributes[RedrivesAttribute])
	require.Equal(t, "noted", again.Attributes[RedrivenByAttribute])
	require.LessOrEqual(t, len(again.Attributes), maxAttributes)
}
