package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// Indexes are the indexes that a database has: those that
// firestore.indexes.json declares, and beside them the automatic ones of every
// field that the file does not name: ascending, descending, and, if the value
// is an array, contains
// (https://firebase.google.com/docs/firestore/query-data/index-overview#automatic_indexing).
//
// A collection group of the file stands for every collection whose name ends with
// it, since a program that uses a prefix declares the prefixed names.
type Indexes struct {
	groups     map[string]struct{}
	overrides  map[string]map[string][]mode // by collection group, by field path
	composites []composite
}

// mode is how a field is in an index.
type mode string

const (
	ascending  mode = "ASCENDING"
	descending mode = "DESCENDING"
	contains   mode = "CONTAINS"
)

var automatic = []mode{ascending, descending, contains}

type composite struct {
	collection string
	fields     []indexField
}

type indexField struct {
	path string
	mode mode
}

// ParseIndexes reads a firestore.indexes.json
// (https://firebase.google.com/docs/reference/firestore/indexes). Indexes of
// collection groups, and vectors, serve no query here.
func ParseIndexes(text []byte) (*Indexes, error) {
	type field struct{ FieldPath, Order, ArrayConfig, QueryScope string }
	var file struct {
		Indexes []struct {
			CollectionGroup, QueryScope string
			Fields                      []field
		}
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			Indexes                    []field
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("firestore indexes: %w", err)
	}
	modeOf := func(f field) mode { return mode(f.Order + f.ArrayConfig) } // one of the two is set
	x := &Indexes{groups: map[string]struct{}{}, overrides: map[string]map[string][]mode{}}
	for _, o := range file.FieldOverrides {
		x.groups[o.CollectionGroup] = struct{}{}
		if x.overrides[o.CollectionGroup] == nil {
			x.overrides[o.CollectionGroup] = map[string][]mode{}
		}
		modes := []mode{}
		for _, f := range o.Indexes {
			if f.QueryScope != "COLLECTION_GROUP" {
				modes = append(modes, modeOf(f))
			}
		}
		x.overrides[o.CollectionGroup][o.FieldPath] = modes
	}
	for _, i := range file.Indexes {
		if i.QueryScope == "COLLECTION_GROUP" {
			continue
		}
		x.groups[i.CollectionGroup] = struct{}{}
		c := composite{collection: i.CollectionGroup}
		for _, f := range i.Fields {
			c.fields = append(c.fields, indexField{f.FieldPath, modeOf(f)})
		}
		x.composites = append(x.composites, c)
	}
	return x, nil
}

// declared returns the collection group as which a collection is declared.
func (x *Indexes) declared(collection string) string {
	declared, longest := collection, 0
	for group := range x.groups {
		if strings.HasSuffix(collection, group) && len(group) > longest {
			declared, longest = group, len(group)
		}
	}
	return declared
}

// modes returns the single-field indexes of a field: those of the nearest field
// above it that is declared, else those of all fields of the collection, else the
// automatic ones.
func (x *Indexes) modes(collection, path string) []mode {
	overrides := x.overrides[x.declared(collection)]
	if overrides == nil {
		return automatic
	}
	for p := path; ; {
		if modes, ok := overrides[p]; ok {
			return modes
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	if modes, ok := overrides["*"]; ok {
		return modes
	}
	return automatic
}

// entries returns how many index entries a document has: for each single-field
// index one, or one for each element if it is an index of what an array contains,
// and one for each composite index all of whose fields it has
// (https://firebase.google.com/docs/firestore/quotas#indexes).
func (x *Indexes) entries(collection string, fields map[string]*firestorepb.Value) int {
	n := x.singleEntries(collection, "", fields)
	for _, c := range x.composites {
		if c.collection != x.declared(collection) {
			continue
		}
		n += compositeEntries(c, fields)
	}
	return n
}

func (x *Indexes) singleEntries(collection, above string, fields map[string]*firestorepb.Value) int {
	n := 0
	for name, value := range fields {
		path := above + name
		switch v := value.GetValueType().(type) {
		case *firestorepb.Value_MapValue:
			n += x.singleEntries(collection, path+".", v.MapValue.GetFields())
		case *firestorepb.Value_ArrayValue:
			if slices.Contains(x.modes(collection, path), contains) {
				n += len(v.ArrayValue.GetValues())
			}
		default:
			for _, m := range x.modes(collection, path) {
				if m != contains {
					n++
				}
			}
		}
	}
	return n
}

func compositeEntries(c composite, fields map[string]*firestorepb.Value) int {
	n := 1
	for _, f := range c.fields {
		value, ok := fields[f.path]
		if !ok && f.path != documentID {
			return 0
		}
		if f.mode == contains {
			n *= len(value.GetArrayValue().GetValues())
		}
	}
	return n
}

// collectionOf returns the id of the collection that a document is in.
func collectionOf(document string) string {
	parts := strings.Split(belowDocuments(document), "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}
