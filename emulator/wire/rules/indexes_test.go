package rules

import (
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
)

const composed = `{
  "indexes": [
    {"collectionGroup": "c", "queryScope": "COLLECTION", "fields": [
      {"fieldPath": "a", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}]},
    {"collectionGroup": "c", "queryScope": "COLLECTION", "fields": [
      {"fieldPath": "b", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}]},
    {"collectionGroup": "c", "queryScope": "COLLECTION_GROUP", "fields": [
      {"fieldPath": "z", "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}]}
  ],
  "fieldOverrides": [{"collectionGroup": "c", "fieldPath": "*", "indexes": []}]
}`

func TestCompositeIndexesServeTheirOrderAndAreMerged(t *testing.T) {
	x, err := ParseIndexes([]byte(composed))
	require.NoError(t, err)
	equal := func(paths ...string) (all []condition) {
		for _, p := range paths {
			all = append(all, condition{p, opEqual})
		}
		return all
	}
	newest := []indexField{{"at", descending}}
	require.Empty(t, x.missing("c", equal("a"), newest))
	require.Empty(t, x.missing("c", equal("a", "b"), newest), "merged")
	require.NotEmpty(t, x.missing("c", equal("a", "b", "d"), newest))
	require.NotEmpty(t, x.missing("c", equal("a"), []indexField{{"at", ascending}}))
	require.NotEmpty(t, x.missing("c", nil, newest), "no single-field index is left")
	require.NotEmpty(t, x.missing("c", equal("z"), newest), "of collection groups")
	require.Empty(t, x.missing("other", equal("a"), nil), "automatic")
}

func TestIndexEntriesAreCountedByIndex(t *testing.T) {
	value := func(s string) *firestorepb.Value {
		return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
	}
	list := &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: []*firestorepb.Value{value("x"), value("y")}}}}
	inner := &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: map[string]*firestorepb.Value{"s": value("x")}}}}
	fields := map[string]*firestorepb.Value{"a": value("1"), "b": value("1"), "at": value("1"), "l": list, "m": inner}
	x, err := ParseIndexes([]byte(composed))
	require.NoError(t, err)
	require.Equal(t, 2, x.entries("c", fields), "two composite ones")
	require.Equal(t, 3*2+2+2, x.entries("other", fields), "up and down for each value, one for each element")
}

// The example of https://firebase.google.com/docs/firestore/storage-size.
func TestADocumentsSizeIsThatOfGooglesExample(t *testing.T) {
	value := func(s string) *firestorepb.Value {
		return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
	}
	require.Equal(t, 147, documentSize(&firestorepb.Document{
		Name: "projects/p/databases/(default)/documents/users/jeff/tasks/my_task_id",
		Fields: map[string]*firestorepb.Value{
			"type":        value("Personal"),
			"done":        {ValueType: &firestorepb.Value_BooleanValue{}},
			"priority":    {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: 1}},
			"description": value("Learn Cloud Firestore"),
		},
	}))
}
