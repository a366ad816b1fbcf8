package memdb

import (
	"maps"
	"slices"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// indexFrom is how many documents a collection has before an index is worth its upkeep.
const indexFrom = 512

// textIndex has, for each field that was asked for, which documents have a text there, or
// in the array there. It names documents that had it once, too: what it finds is compared.
type textIndex map[string]map[string]map[string]struct{}

// add takes note of what a document is now.
func (x textIndex) add(id string, d *docdb.Document) {
	for field, texts := range x {
		switch v := d.GetFields()[field].GetValueType().(type) {
		case *firestorepb.Value_StringValue:
			note(texts, v.StringValue, id)
		case *firestorepb.Value_ArrayValue:
			for _, e := range v.ArrayValue.GetValues() {
				if e, ok := e.GetValueType().(*firestorepb.Value_StringValue); ok {
					note(texts, e.StringValue, id)
				}
			}
		}
	}
}

func note(texts map[string]map[string]struct{}, text, id string) {
	if texts[text] == nil {
		texts[text] = map[string]struct{}{}
	}
	texts[text][id] = struct{}{}
}

// having returns the ids, in order, of all documents that a query may find, and reports
// whether it could be told without looking at each: it asks for texts alone.
func (c *collection) having(q docdb.Query) (ids []string, ok bool) {
	if len(c.documents) < indexFrom || len(q.Any) == 0 {
		return nil, false
	}
	for _, f := range q.Any {
		if _, text := f.Value.GetValueType().(*firestorepb.Value_StringValue); !text || f.Op != docdb.Equal && f.Op != docdb.Contains {
			return nil, false
		}
	}
	found := map[string]struct{}{}
	for _, f := range q.Any {
		maps.Copy(found, c.of(f.Field)[f.Value.GetStringValue()])
	}
	return slices.Sorted(maps.Keys(found)), true
}

// of is the index of a field, which is made when it is first asked for.
func (c *collection) of(field string) map[string]map[string]struct{} {
	if texts, ok := c.texts[field]; ok {
		return texts
	}
	only := textIndex{field: {}}
	for id, versions := range c.documents {
		for _, v := range versions {
			only.add(id, v.document)
		}
	}
	if c.texts == nil {
		c.texts = textIndex{}
	}
	c.texts[field] = only[field]
	return only[field]
}
