package memdb

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Get implements docdb.DB.
func (db *DB) Get(ctx context.Context, names []string) (map[string]*docdb.Document, time.Time, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := ended(ctx); err != nil {
		return nil, time.Time{}, err
	}
	found := make(map[string]*docdb.Document, len(names))
	for _, name := range names {
		if d := db.current(name); d != nil {
			found[name] = d
		}
	}
	return found, db.read(), nil
}

// read is the time of a read, which no later commit has.
func (db *DB) read() time.Time {
	db.last = db.clock()
	return db.last
}

// Query implements docdb.DB.
func (db *DB) Query(ctx context.Context, q docdb.Query, visit func(*docdb.Document) error) error {
	found, err := db.find(ctx, q)
	if err != nil {
		return err
	}
	for _, d := range found {
		if q.Select != nil {
			d = &docdb.Document{Name: d.Name, UpdateTime: d.UpdateTime, Fields: maps.Clone(d.Fields)}
			maps.DeleteFunc(d.Fields, func(field string, _ *docdb.Value) bool { return !slices.Contains(q.Select, field) })
		}
		if err := visit(d); err != nil {
			return err
		}
		if err := ended(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Recovers implements docdb.DB.
func (db *DB) Recovers(context.Context) (bool, error) { return false, nil }

// Count implements docdb.DB.
func (db *DB) Count(ctx context.Context, q docdb.Query) (int64, error) {
	found, err := db.find(ctx, q)
	return int64(len(found)), err
}

// Sum implements docdb.DB.
func (db *DB) Sum(ctx context.Context, q docdb.Query, field string) (n, sum int64, err error) {
	found, err := db.find(ctx, q)
	for _, d := range found {
		if !docdb.Missing(d.Fields[field]) {
			n, sum = n+1, sum+d.Fields[field].GetIntegerValue()
		}
	}
	return n, sum, err
}

func (db *DB) find(ctx context.Context, q docdb.Query) (found []*docdb.Document, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := ended(ctx); err != nil {
		return nil, err
	}
	at := q.At
	switch now := db.read(); {
	case at.IsZero():
		at = now
	case at.After(now) || now.Sub(at) > kept:
		return nil, status.Error(codes.FailedPrecondition, "the read time is not one of the last minutes")
	}
	c := db.collection(q.Collection)
	ids, indexed := c.having(q)
	if !indexed {
		ids = c.ids()
	}
	if q.After != "" {
		i, exact := slices.BinarySearch(ids, strings.TrimPrefix(q.After, q.Collection+"/"))
		if exact {
			i++
		}
		ids = ids[i:]
	}
	if q.UpTo != "" {
		i, exact := slices.BinarySearch(ids, strings.TrimPrefix(q.UpTo, q.Collection+"/"))
		if exact {
			i++
		}
		ids = ids[:i]
	}
	for _, id := range ids {
		if q.Limit > 0 && len(found) == q.Limit && q.OrderBy == "" {
			break
		}
		if d := c.at(id, at); d != nil && matches(d, q) {
			found = append(found, d)
		}
	}
	if q.OrderBy != "" {
		slices.SortStableFunc(found, func(a, b *docdb.Document) int {
			order, _ := compare(a.Fields[q.OrderBy], b.Fields[q.OrderBy])
			return order
		})
	}
	if q.Limit > 0 {
		found = found[:min(len(found), q.Limit)]
	}
	return found, nil
}

// matches reports whether a query finds a document, except for where it begins and
// ends.
func matches(d *docdb.Document, q docdb.Query) bool {
	if q.OrderBy != "" && d.Fields[q.OrderBy] == nil {
		return false
	}
	passed := func(f docdb.Filter) bool { return passes(d.Fields[f.Field], f) }
	for _, f := range q.All {
		if !passed(f) {
			return false
		}
	}
	return len(q.Any) == 0 || slices.ContainsFunc(q.Any, passed)
}

func passes(v *docdb.Value, f docdb.Filter) bool {
	switch f.Op {
	case docdb.Contains:
		return slices.ContainsFunc(v.GetArrayValue().GetValues(), func(e *docdb.Value) bool { return equal(e, f.Value) })
	case docdb.In:
		return slices.ContainsFunc(f.Value.GetArrayValue().GetValues(), func(e *docdb.Value) bool { return equal(e, v) })
	}
	order, ok := compare(v, f.Value)
	switch f.Op {
	case docdb.Greater:
		return ok && order > 0
	case docdb.AtLeast:
		return ok && order >= 0
	case docdb.Less:
		return ok && order < 0
	}
	return ok && order == 0
}

// equal is proto.Equal, which compares by reflection. Nearly all values that are asked
// for can be compared without: a query looks at every document.
func equal(a, b *docdb.Value) bool {
	if order, ok := compare(a, b); ok {
		return order == 0
	}
	return proto.Equal(a, b)
}

// compare orders two integers, texts, or timestamps. What is of two types, or of
// another one, is not comparable.
func compare(a, b *docdb.Value) (order int, ok bool) {
	if a == nil || b == nil || reflect.TypeOf(a.ValueType) != reflect.TypeOf(b.ValueType) {
		return 0, false
	}
	switch a.ValueType.(type) {
	case *firestorepb.Value_IntegerValue:
		return cmp.Compare(a.GetIntegerValue(), b.GetIntegerValue()), true
	case *firestorepb.Value_StringValue:
		return strings.Compare(a.GetStringValue(), b.GetStringValue()), true
	case *firestorepb.Value_TimestampValue:
		return a.GetTimestampValue().AsTime().Compare(b.GetTimestampValue().AsTime()), true
	}
	return 0, false
}
