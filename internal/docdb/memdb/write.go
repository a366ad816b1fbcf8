package memdb

import (
	"context"
	"maps"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Commit implements docdb.DB. The time of the request is that of the commit.
func (db *DB) Commit(ctx context.Context, writes ...docdb.Write) (docdb.Receipt, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := ended(ctx); err != nil {
		return docdb.Receipt{}, err
	}
	for _, w := range writes {
		if code := db.refused(w); code != codes.OK {
			return docdb.Receipt{}, status.Errorf(code, "%s is not as the write wants it", w.Name)
		}
	}
	receipt := docdb.Receipt{At: db.tick(), Updated: make([]time.Time, len(writes))}
	for i, w := range writes {
		receipt.Updated[i] = db.write(w, receipt.At)
		if len(w.Times) > 0 {
			receipt.Requested = receipt.At
		}
	}
	db.announce()
	return receipt, nil
}

// BatchWrite implements docdb.DB.
func (db *DB) BatchWrite(ctx context.Context, writes []docdb.Write) ([]codes.Code, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := ended(ctx); err != nil {
		return nil, err
	}
	results := make([]codes.Code, len(writes))
	for i, w := range writes {
		if results[i] = db.refused(w); results[i] == codes.OK {
			db.write(w, db.tick())
		}
	}
	db.announce()
	return results, nil
}

// refused is OK if the document is what a write wants it to be.
func (db *DB) refused(w docdb.Write) codes.Code {
	d := db.current(w.Name)
	switch {
	case w.If.Absent && d != nil:
		return codes.AlreadyExists
	case w.If.Updated.IsZero():
		return codes.OK
	case d == nil:
		return codes.NotFound
	case !d.UpdateTime.AsTime().Equal(w.If.Updated):
		return codes.FailedPrecondition
	}
	return codes.OK
}

// current is a document as it is; nil if there is none.
func (db *DB) current(name string) *docdb.Document {
	c, id, _ := strings.Cut(name, "/")
	return db.collection(c).now(id)
}

// write makes a write, and returns the document's update time.
func (db *DB) write(w docdb.Write, at time.Time) time.Time {
	before := db.current(w.Name)
	if w.Delete {
		if before != nil {
			db.put(w.Name, at, nil)
		}
		return at
	}
	fields := w.Fields
	if w.Mask != nil && !w.If.Absent {
		fields = maps.Clone(before.GetFields())
		if fields == nil {
			fields = map[string]*docdb.Value{}
		}
		for _, path := range w.Mask {
			set(fields, path, get(w.Fields, path))
		}
	} else if len(w.Times) > 0 {
		fields = maps.Clone(fields)
	}
	for _, path := range w.Times {
		set(fields, path, docdb.Timestamp(at))
	}
	if before != nil && same(fields, before.Fields) {
		return before.UpdateTime.AsTime()
	}
	db.put(w.Name, at, &docdb.Document{Name: w.Name, Fields: fields, UpdateTime: timestamppb.New(at)})
	return at
}

func same(a, b map[string]*docdb.Value) bool {
	return maps.EqualFunc(a, b, func(x, y *docdb.Value) bool { return proto.Equal(x, y) })
}

// get returns the value at a path; nil if there is none.
func get(fields map[string]*docdb.Value, path string) *docdb.Value {
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		return fields[first]
	}
	return get(fields[first].GetMapValue().GetFields(), rest)
}

// set makes a value that at a path; nil removes it. Maps below fields are copied,
// since others may read them.
func set(fields map[string]*docdb.Value, path string, v *docdb.Value) {
	first, rest, deeper := strings.Cut(path, ".")
	switch {
	case deeper:
		below := maps.Clone(fields[first].GetMapValue().GetFields())
		if below == nil {
			if v == nil {
				return
			}
			below = map[string]*docdb.Value{}
		}
		set(below, rest, v)
		fields[first] = docdb.Map(below)
	case v == nil:
		delete(fields, first)
	default:
		fields[first] = v
	}
}
