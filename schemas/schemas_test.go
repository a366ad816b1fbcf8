package schemas_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/schemas"
)

func TestEveryTypeHasASchemaAndEverySchemaAType(t *testing.T) {
	types := append([]events.Type{archived.ClaimedType, archived.AssertedType, archived.RetractedType}, publishedTypes...)
	var want []string
	for _, typ := range types {
		want = append(want, string(typ))
	}
	require.ElementsMatch(t, want, schemas.Types())
}

func TestPatternsAreThoseOfTheRegistry(t *testing.T) {
	seen := map[string]int{}
	for _, typ := range schemas.Types() {
		walk(schemaFile(t, schemas.Files(), typ+".json"), func(node map[string]any) {
			properties, _ := node["properties"].(map[string]any)
			for name, property := range properties {
				want := map[bool]string{true: registry.TenantPattern, false: registry.ResourcePattern}[strings.HasSuffix(name, "tenant_id")]
				pattern, ok := property.(map[string]any)["pattern"]
				if typ == string(events.TenantMovedType) && (name == "reason" || name == "actor") {
					require.Equal(t, `^\P{C}*$`, pattern)
					continue
				}
				if isID := strings.HasSuffix(name, "_id") && name != "event_id" || name == "id"; !isID {
					require.False(t, ok, "%s: %s has a pattern", typ, name)
					continue
				}
				require.Equal(t, want, pattern, "%s: %s", typ, name)
				seen[want]++
			}
		})
	}
	require.Equal(t, map[string]int{registry.TenantPattern: 6, registry.ResourcePattern: 7}, seen)
}

func TestKindsAreThoseOfTheRegistry(t *testing.T) {
	seen := 0
	for _, typ := range schemas.Types() {
		walk(schemaFile(t, schemas.Files(), typ+".json"), func(node map[string]any) {
			kinds, ok := node["enum"].([]any)
			if !ok {
				return
			}
			seen++
			var want []any
			for _, kind := range registry.Kinds() {
				want = append(want, string(kind))
			}
			require.ElementsMatch(t, want, kinds, typ)
		})
	}
	require.Equal(t, 3, seen)
}

func TestExamplesOfASchemaFitIt(t *testing.T) {
	for _, typ := range schemas.Types() {
		examples, _ := schemaFile(t, schemas.Files(), typ+".json")["examples"].([]any)
		require.NotEmpty(t, examples, typ)
		for _, example := range examples {
			require.NoError(t, schemas.Validate(typ, example), typ)
		}
	}
}

func TestFaultsNameEveryPlaceInOrderAndQuoteShortly(t *testing.T) {
	var data any
	require.NoError(t, json.Unmarshal([]byte(`{
		"from_tenant_id": "`+strings.Repeat("T", 1000)+`",
		"resources": [{"kind": "thread", "id": "a"}, {"kind": "video", "id": 7}, {"kind": "canvas"}]
	}`), &data))
	var faults schemas.Faults
	require.ErrorAs(t, schemas.Validate("nexus.tenant.moved.v1", data), &faults)
	require.Equal(t, schemas.Faults{
		{Place: "/from_tenant_id", Problem: `"` + strings.Repeat("T", 40) + `"… (1000 bytes) does not match ^t_[a-z0-9_-]{1,126}$`},
		{Place: "/resources/1/id", Problem: "is number, not string"},
		{Place: "/resources/1/kind", Problem: `"video" is not one of [thread canvas]`},
		{Place: "/resources/2/id", Problem: "missing"},
		{Place: "/to_tenant_id", Problem: "missing"},
	}, faults)
	require.True(t, strings.HasSuffix(faults.Error(), `; data/resources/1/kind: "video" is not one of [thread canvas]; and 2 more`), faults.Error())
}

func TestRelationsBetweenValuesHold(t *testing.T) {
	for data, want := range map[string]string{
		`{"from_tenant_id":"t_a","to_tenant_id":"t_a"}`: `data/to_tenant_id: "t_a" is from_tenant_id too`,
		`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"x"},{"kind":"canvas","id":"x"},{"kind":"thread","id":"x","note":"differs"}]}`: `data/resources/2: repeats item 0: thread "x"`,
		`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"x"},{"kind":"canvas","id":"x"},{"kind":"thread","id":"X"}]}`:                  ``,
	} {
		var tree any
		require.NoError(t, json.Unmarshal([]byte(data), &tree))
		err := schemas.Validate("nexus.tenant.moved.v1", tree)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
}

func TestATypeWithoutASchemaIsAnError(t *testing.T) {
	require.ErrorIs(t, schemas.Validate("nexus.thread.archived.v1", map[string]any{}), schemas.ErrUnknownType)
}

func schemaFile(t *testing.T, files fs.FS, name string) map[string]any {
	t.Helper()
	text, err := fs.ReadFile(files, name)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(text, &doc), name)
	return doc
}
