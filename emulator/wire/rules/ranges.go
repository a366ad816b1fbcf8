package rules

import (
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// SequentialWrites is how many writes a second a collection sustains if an indexed
// field has sequential values, such as a timestamp: "Maximum write rate to a
// collection in which documents contain sequential values in an indexed field: 500
// per second" (https://firebase.google.com/docs/firestore/quotas,
// https://firebase.google.com/docs/firestore/best-practices#high_read_write_and_delete_rates_to_a_narrow_document_range).
// The rules let such writes pass, since the service first answers with latency, for
// which there are no published figures; [Report] names them.
const SequentialWrites = 500

// rising is the least share, in percent, of values above the one before them if
// values are sequential. Several concurrent writers mix them a little.
const rising = 75

// indexRanges tracks how fast each index grows at its end.
type indexRanges struct {
	mu     sync.Mutex
	ranges map[indexRange]*growth
}

type indexRange struct{ collection, field string }

type growth struct {
	last    *firestorepb.Value
	second  int64
	count   int
	risen   int
	fastest int // writes in a second that was sequential
}

// wrote records writes that succeeded.
func (r *indexRanges) wrote(x *Indexes, writes []*firestorepb.Write, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ranges == nil {
		r.ranges = map[indexRange]*growth{}
	}
	for _, w := range writes {
		d := w.GetUpdate()
		group, collection := collectionOf(d.GetName()), pathOfCollection(d.GetName())
		x.eachOrdered(group, "", d.GetFields(), func(path string, v *firestorepb.Value) {
			r.growth(collection, path).add(v, now)
		})
		for _, t := range w.GetUpdateTransforms() {
			server := t.GetSetToServerValue() == firestorepb.DocumentTransform_FieldTransform_REQUEST_TIME
			if server && slices.Contains(x.modes(group, t.GetFieldPath()), ascending) {
				r.growth(collection, t.GetFieldPath()).add(nil, now)
			}
		}
	}
}

func (r *indexRanges) growth(collection, field string) *growth {
	key := indexRange{collection, field}
	g := r.ranges[key]
	if g == nil {
		g = &growth{}
		r.ranges[key] = g
	}
	return g
}

// add counts one value; nil is the server's time.
func (g *growth) add(v *firestorepb.Value, now time.Time) {
	if s := now.Unix(); s != g.second {
		g.second, g.count, g.risen = s, 0, 0
	}
	g.count++
	if v == nil || above(v, g.last) {
		g.risen++
	}
	g.last = v
	if g.count > SequentialWrites && g.risen*100 >= g.count*rising {
		g.fastest = max(g.fastest, g.count)
	}
}

// above reports whether a value comes after another of its kind.
func above(v, last *firestorepb.Value) bool {
	switch v := v.GetValueType().(type) {
	case *firestorepb.Value_TimestampValue:
		return v.TimestampValue.AsTime().After(last.GetTimestampValue().AsTime())
	case *firestorepb.Value_IntegerValue:
		return v.IntegerValue > last.GetIntegerValue()
	case *firestorepb.Value_DoubleValue:
		return v.DoubleValue > last.GetDoubleValue()
	case *firestorepb.Value_StringValue:
		return v.StringValue > last.GetStringValue()
	}
	return false
}

// eachOrdered calls do with each value that an ordered single-field index holds.
func (x *Indexes) eachOrdered(collection, above string, fields map[string]*firestorepb.Value, do func(path string, v *firestorepb.Value)) {
	for name, value := range fields {
		path := above + name
		switch v := value.GetValueType().(type) {
		case *firestorepb.Value_ArrayValue:
		case *firestorepb.Value_MapValue:
			x.eachOrdered(collection, path+".", v.MapValue.GetFields(), do)
		default:
			if modes := x.modes(collection, path); slices.Contains(modes, ascending) || slices.Contains(modes, descending) {
				do(path, value)
			}
		}
	}
}

// pathOfCollection returns the path of a document's collection below the root.
func pathOfCollection(document string) string {
	path := belowDocuments(document)
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return path
}
