package schemas_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/schemas"
)

var publishedTypes = events.PublishedTypes()

func TestAsyncAPIHasAChannelAndBothModesOfEveryPublishedType(t *testing.T) {
	doc := asyncAPI(t)
	for _, typ := range publishedTypes {
		channel := channelAt(t, doc, typ.Topic())
		var binary, structured int
		for name := range object(t, channel["messages"]) {
			message := resolve(t, doc, channel["messages"].(map[string]any)[name])
			switch kind := fmt.Sprint(message["contentType"]); {
			case strings.HasPrefix(kind, "application/cloudevents"):
				structured++
				require.Equal(t, string(typ), lookUp(t, doc, message, "payload", "schema", "allOf", 1, "properties", "type", "const"))
				require.Equal(t, "./"+string(typ)+".json", lookUp(t, doc, message, "payload", "schema", "allOf", 1, "properties", "data", "$ref"))
			case kind == "application/json":
				binary++
				require.Equal(t, string(typ), lookUp(t, doc, message, "headers", "allOf", 1, "properties", "ce-type", "const"))
				require.Equal(t, "./"+string(typ)+".json", lookUp(t, doc, message, "payload", "schema", "$ref"))
			default:
				t.Errorf("%s: message %s has content type %s", typ, name, kind)
			}
		}
		require.Equal(t, []int{1, 1}, []int{binary, structured}, "%s: messages in binary and in structured mode", typ)
	}
}

func TestAsyncAPIHasNoOtherChannels(t *testing.T) {
	doc := asyncAPI(t)
	require.Len(t, object(t, doc["channels"]), len(publishedTypes)+1)
	channelAt(t, doc, "realtime-registry-dead-letters")
}

func TestAsyncAPINamesEveryReason(t *testing.T) {
	var want []any
	for _, reason := range envelope.Reasons() {
		want = append(want, string(reason))
	}
	doc := asyncAPI(t)
	require.Equal(t, want, lookUp(t, doc, doc, "components", "schemas", "deadLetterAttributes", "properties", "dead-letter-reason", "enum"))
}

func TestAsyncAPINamesEveryAttribute(t *testing.T) {
	attributes, _, err := events.Encode(events.Event{
		ID: "1", Source: "s", Time: time.Unix(0, 0), Subject: "s", DataSchema: "s", TraceParent: "s",
		Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "th"},
	})
	require.NoError(t, err)
	doc := asyncAPI(t)
	binary := object(t, lookUp(t, doc, doc, "components", "schemas", "attributes", "properties"))
	structured := object(t, lookUp(t, doc, doc, "components", "schemas", "structuredEvent", "properties"))
	for name := range attributes {
		require.Contains(t, binary, name)
		if name != "content-type" {
			require.Contains(t, structured, strings.TrimPrefix(name, "ce-"))
		}
	}
	require.Len(t, binary, len(attributes))
}

func TestAsyncAPIReferencesResolve(t *testing.T) {
	doc := asyncAPI(t)
	references := 0
	walk(doc, func(node map[string]any) {
		if ref, ok := node["$ref"].(string); ok {
			references++
			require.NotEmpty(t, resolve(t, doc, map[string]any{"$ref": ref}), ref)
		}
	})
	require.Greater(t, references, 20)
}

func TestAsyncAPIExamplesAreWhatDecodingSaysOfThem(t *testing.T) {
	doc := asyncAPI(t)
	messages := object(t, lookUp(t, doc, doc, "components", "messages"))
	require.NotEmpty(t, messages)
	for name := range messages {
		message := object(t, messages[name])
		examples, _ := message["examples"].([]any)
		require.NotEmpty(t, examples, "message %s has no example", name)
		for _, example := range examples {
			attributes := map[string]string{}
			for header, value := range object(t, object(t, example)["headers"]) {
				attributes[header] = value.(string)
			}
			body, err := json.Marshal(object(t, example)["payload"])
			require.NoError(t, err)
			_, err = events.Decode(attributes, body, time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC))
			if reason, refused := attributes["dead-letter-reason"]; refused {
				require.EqualError(t, err, reason+": "+attributes["dead-letter-detail"], name)
				continue
			}
			require.NoError(t, err, name)
		}
	}
}

func asyncAPI(t *testing.T) map[string]any {
	t.Helper()
	text, err := fs.ReadFile(schemas.Files(), "asyncapi.yaml")
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.Unmarshal(text, &doc))
	require.Equal(t, "3.0.0", doc["asyncapi"])
	return doc
}

func channelAt(t *testing.T, doc map[string]any, address string) map[string]any {
	t.Helper()
	for _, channel := range object(t, doc["channels"]) {
		if object(t, channel)["address"] == address {
			return object(t, channel)
		}
	}
	require.Fail(t, "no channel has the address "+address)
	return nil
}

// lookUp walks down from a node, following references except a last "$ref".
func lookUp(t *testing.T, doc map[string]any, node any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case int:
			items, _ := node.([]any)
			require.Greater(t, len(items), step, "%v", path)
			node = items[step]
		case string:
			next := object(t, node)
			if step != "$ref" {
				next = resolve(t, doc, next)
			}
			require.Contains(t, next, step, "%v", path)
			node = next[step]
		}
	}
	return node
}

// resolve follows a reference into the document, or to a schema file.
func resolve(t *testing.T, doc map[string]any, node any) map[string]any {
	t.Helper()
	target := object(t, node)
	ref, ok := target["$ref"].(string)
	if !ok {
		return target
	}
	if file, ok := strings.CutPrefix(ref, "./"); ok {
		return schemaFile(t, schemas.Files(), file)
	}
	path, ok := strings.CutPrefix(ref, "#/")
	require.True(t, ok, ref)
	var at any = doc
	for step := range strings.SplitSeq(path, "/") {
		require.Contains(t, at, step, ref)
		at = object(t, at)[step]
	}
	return object(t, at)
}

func object(t *testing.T, node any) map[string]any {
	t.Helper()
	object, ok := node.(map[string]any)
	require.True(t, ok, "%v is not an object", node)
	return object
}

func walk(node any, visit func(map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(node)
		for _, child := range node {
			walk(child, visit)
		}
	case []any:
		for _, child := range node {
			walk(child, visit)
		}
	}
}
