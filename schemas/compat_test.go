package schemas_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/schemas"
)

// stated is where a schema is stricter than its release on purpose (design §13):
// what a move did with a misspelt member was not what its publisher meant.
var stated = map[string][]string{string(events.TenantMovedType): {"/additionalProperties: closed"}}

func TestNoSchemaIsStricterThanItsRelease(t *testing.T) {
	released := os.DirFS("released")
	for _, typ := range schemas.Types() {
		require.Equal(t, stated[typ], stricter("", schemaFile(t, released, typ+".json"), schemaFile(t, schemas.Files(), typ+".json")),
			"%s: events that are valid today would be refused; make it a new type", typ)
	}
}

func TestReleasedSchemasAreNotEdited(t *testing.T) {
	text, err := os.ReadFile("released/SHA256SUMS")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, len(schemas.Types()))
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		schema, err := os.ReadFile("released/" + name)
		require.NoError(t, err)
		require.Equal(t, sum, fmt.Sprintf("%x", sha256.Sum256(schema)), name)
	}
}

func TestEveryReleasedExampleStillDecodes(t *testing.T) {
	text, err := os.ReadFile("released/examples.ndjson")
	require.NoError(t, err)
	seen := map[events.Type]bool{}
	for line := range bytes.Lines(text) {
		event, err := archived.Decode(line, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		require.NoError(t, err, string(line))
		seen[event.Type()] = true
		again, err := json.Marshal(event)
		require.NoError(t, err)
		require.Empty(t, lost(decoded(t, line), decoded(t, again)), string(line))
	}
	require.Len(t, seen, len(schemas.Types()), "each type has a released example")
}

// lost names the members of an example that its event does not have, except for
// those called x_*, which are there to be ignored.
func lost(example, event any) []string {
	var names []string
	if object, ok := example.(map[string]any); ok {
		for name, value := range object {
			if strings.HasPrefix(name, "x_") {
				continue
			}
			names = append(names, lost(value, event.(map[string]any)[name])...)
		}
		return names
	}
	if items, ok := example.([]any); ok {
		for i, item := range items {
			names = append(names, lost(item, event.([]any)[i])...)
		}
		return names
	}
	if !reflect.DeepEqual(example, event) {
		names = append(names, fmt.Sprintf("%v became %v", example, event))
	}
	return names
}

func TestEveryKindOfBreakingEditIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(schema, resources map[string]any)
		want string
	}{
		"new required field":        {func(s, _ map[string]any) { s["required"] = append(s["required"].([]any), "resources") }, "/required: resources is new"},
		"required where none was":   {func(_, r map[string]any) { r["required"] = []any{"x"} }, "/properties/resources/required: x is new"},
		"removed property":          {func(s, _ map[string]any) { delete(s["properties"].(map[string]any), "resources") }, "/properties/resources: removed"},
		"changed pattern":           {func(s, _ map[string]any) { property(s, "to_tenant_id")["pattern"] = "^t_[a-z]+$" }, "/properties/to_tenant_id/pattern: changed"},
		"new pattern":               {func(_, r map[string]any) { properties(r["items"])["kind"].(map[string]any)["pattern"] = "^t" }, "/properties/resources/items/properties/kind/pattern: changed"},
		"fewer enum values":         {func(_, r map[string]any) { properties(r["items"])["kind"].(map[string]any)["enum"] = []any{"thread"} }, "/properties/resources/items/properties/kind/enum: canvas is gone"},
		"new enum":                  {func(s, _ map[string]any) { property(s, "to_tenant_id")["enum"] = []any{"t_a"} }, "/properties/to_tenant_id/enum: new"},
		"const":                     {func(s, _ map[string]any) { property(s, "to_tenant_id")["const"] = "t_a" }, "/properties/to_tenant_id/const: changed"},
		"other type":                {func(s, _ map[string]any) { property(s, "to_tenant_id")["type"] = "integer" }, "/properties/to_tenant_id/type: string is gone"},
		"new type":                  {func(_, r map[string]any) { properties(r["items"])["kind"].(map[string]any)["type"] = "string" }, "/properties/resources/items/properties/kind/type: new"},
		"lower maximum":             {func(_, r map[string]any) { r["maxItems"] = 499.0 }, "/properties/resources/maxItems: 499 is less than 500"},
		"new maximum":               {func(s, _ map[string]any) { property(s, "to_tenant_id")["maxLength"] = 64.0 }, "/properties/to_tenant_id/maxLength: new"},
		"higher minimum":            {func(_, r map[string]any) { r["minItems"] = 2.0 }, "/properties/resources/minItems: 2 is more than 1"},
		"new minimum":               {func(s, _ map[string]any) { s["minProperties"] = 1.0 }, "/minProperties: new"},
		"closed":                    {func(s, _ map[string]any) { s["additionalProperties"] = false }, "/additionalProperties: closed"},
		"closed by a schema":        {func(s, _ map[string]any) { s["additionalProperties"] = map[string]any{"type": "string"} }, "/additionalProperties: closed"},
		"closed inside":             {func(_, r map[string]any) { r["items"].(map[string]any)["additionalProperties"] = false }, "/properties/resources/items/additionalProperties: closed"},
		"unevaluated closed":        {func(s, _ map[string]any) { s["unevaluatedProperties"] = false }, "/unevaluatedProperties: changed"},
		"unique where not":          {func(s, _ map[string]any) { property(s, "to_tenant_id")["uniqueItems"] = true }, "/properties/to_tenant_id/uniqueItems: new"},
		"items where none were":     {func(s, _ map[string]any) { property(s, "to_tenant_id")["items"] = map[string]any{} }, "/properties/to_tenant_id/items: new"},
		"keyword nobody judges yet": {func(s, _ map[string]any) { s["not"] = map[string]any{} }, "/not: changed"},
		"other dialect":             {func(s, _ map[string]any) { s["$schema"] = "http://json-schema.org/draft-07/schema#" }, "/$schema: changed"},
	} {
		t.Run(name, func(t *testing.T) {
			released := schemaFile(t, schemas.Files(), "nexus.tenant.moved.v1.json")
			edited := schemaFile(t, schemas.Files(), "nexus.tenant.moved.v1.json")
			released["additionalProperties"], edited["additionalProperties"] = true, true
			c.edit(edited, property(edited, "resources"))
			require.Equal(t, []string{c.want}, stricter("", released, edited))
		})
	}
}

func TestHarmlessEditsAreAllowed(t *testing.T) {
	for name, edit := range map[string]func(schema, resources map[string]any){
		"none":                  func(_, _ map[string]any) {},
		"words":                 func(s, r map[string]any) { s["description"], s["title"], r["description"] = "a", "b", "c" },
		"new optional property": func(s, _ map[string]any) { properties(s)["x_note"] = map[string]any{"type": "string"} },
		"no longer required":    func(s, _ map[string]any) { s["required"] = []any{"to_tenant_id"} },
		"higher maximum":        func(_, r map[string]any) { r["maxItems"] = 1000.0 },
		"lower minimum":         func(_, r map[string]any) { r["minItems"] = 0.0 },
		"limits gone":           func(_, r map[string]any) { delete(r, "maxItems"); delete(r, "minItems"); delete(r, "uniqueItems") },
		"another enum value": func(_, r map[string]any) {
			properties(r["items"])["kind"].(map[string]any)["enum"] = []any{"board", "thread", "canvas"}
		},
		"another type": func(s, _ map[string]any) { property(s, "to_tenant_id")["type"] = []any{"string", "null"} },
		"pattern gone": func(s, _ map[string]any) { delete(property(s, "to_tenant_id"), "pattern") },
	} {
		t.Run(name, func(t *testing.T) {
			released := schemaFile(t, schemas.Files(), "nexus.tenant.moved.v1.json")
			edited := schemaFile(t, schemas.Files(), "nexus.tenant.moved.v1.json")
			edit(edited, property(edited, "resources"))
			require.Empty(t, stricter("", released, edited))
		})
	}
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var tree any
	require.NoError(t, json.Unmarshal(text, &tree))
	return tree
}
