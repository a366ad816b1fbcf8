package dev

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/registry"
)

//go:embed example.ndjson
var exampleLines []byte

// A Message is a CloudEvent in structured mode, with its topic.
type Message struct {
	EventID    string
	Topic      string
	Attributes map[string]string
	Data       []byte
}

// Example returns the example events as a publisher would send them, the
// malformed one too.
func Example() []Message {
	var messages []Message
	for line := range bytes.Lines(exampleLines) {
		var envelope struct {
			ID   string      `json:"id"`
			Type events.Type `json:"type"`
		}
		if err := json.Unmarshal(line, &envelope); err != nil {
			panic(fmt.Sprintf("example.ndjson: %v", err)) // embedded, and under test
		}
		messages = append(messages, Message{
			EventID:    envelope.ID,
			Topic:      envelope.Type.Topic(),
			Attributes: map[string]string{"content-type": "application/cloudevents+json"},
			Data:       bytes.TrimSpace(line),
		})
	}
	return messages
}

// ExampleResources returns the resources that the example creates, in the order of
// the page.
var ExampleResources = []registry.Resource{
	{Kind: registry.Thread, ID: "th_welcome"},
	{Kind: registry.Thread, ID: "th_roadmap"},
	{Kind: registry.Thread, ID: "th_billing"},
	{Kind: registry.Thread, ID: "th_support"},
	{Kind: registry.Canvas, ID: "cv_floorplan"},
	{Kind: registry.Canvas, ID: "cv_sketch"},
}
