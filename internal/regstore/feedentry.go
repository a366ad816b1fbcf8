package regstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"path"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a change feed entry. Resources are named by their documents in
// the main collection: one alone in the first field, several in the second. The
// time of the request is in one of two fields, by which the feed is read: at, by
// which all entries are in one order, or changed_at, by which those of a shard are.
const (
	fieldResource  = "resource"
	fieldResources = "resources"
	fieldAt        = "at"
	fieldShard     = "shard"
	fieldExpiresAt = "expires_at" // for the TTL policy
)

// feedFields are those that a reader needs.
var feedFields = []string{fieldResource, fieldResources, fieldAt, fieldChangedAt, fieldFormat}

// The formats of change feed entries. One that names several resources is not
// understood by the release before it, whose verifiers then drop all that they
// keep. That release does not find those in shards at all: they are written only
// if it may not read.
const (
	feedFormatOne   = 1
	feedFormatMany  = 2
	feedFormatLeast = feedFormatMany // of who reads shards
)

// feedShards is how many orders by time there are. Firestore takes some 500 writes
// a second to each (https://firebase.google.com/docs/firestore/solutions/shard-timestamp),
// and 30 of them in one query.
const feedShards = 8

// feedIndex is an order in which entries are found.
type feedIndex struct{ sharded bool }

func (x feedIndex) query(span ownership.Span) docdb.Query {
	q := docdb.Query{Collection: FeedCollection, OrderBy: fieldAt}
	if x.sharded {
		q.OrderBy = fieldChangedAt
		q.All = append(q.All, docdb.Filter{Field: fieldShard, Op: docdb.In, Value: docdb.Array(allShards())})
	}
	q.All = append(q.All, docdb.Filter{Field: q.OrderBy, Op: docdb.AtLeast, Value: docdb.Timestamp(span.From)})
	if !span.Before.IsZero() {
		q.All = append(q.All, docdb.Filter{Field: q.OrderBy, Op: docdb.Less, Value: docdb.Timestamp(span.Before)})
	}
	return q
}

func allShards() (shards []*docdb.Value) {
	for i := range int64(feedShards) {
		shards = append(shards, docdb.Integer(i))
	}
	return shards
}

// feedLayout is in which indexes the feed's entries are written, which follows
// from who may take part.
type feedLayout struct {
	sharded   bool // by processes that know of shards, as all do that may read
	unsharded bool // by those who may not know of them
}

func layoutOf(head *docdb.Document) feedLayout {
	return feedLayout{
		sharded:   head.GetFields()[fieldMinReader].GetIntegerValue() >= feedFormatLeast,
		unsharded: head.GetFields()[fieldMinWriter].GetIntegerValue() < feedFormatLeast,
	}
}

// feedIndexes are those in which entries may be that have a time from floor on:
// if the head has changed what is written to which of them, both are read
// until nothing that was written by who did not know of it is among these.
func (s *Store) feedIndexes(floor time.Time) (indexes []feedIndex) {
	head := s.head.Load()
	settled := floor.After(head.layoutSince.Add(s.WriterHorizon()))
	if !settled || !head.layout.sharded || head.layout.unsharded {
		indexes = append(indexes, feedIndex{})
	}
	if !settled || head.layout.sharded {
		indexes = append(indexes, feedIndex{sharded: true})
	}
	return indexes
}

// feedWrite adds the change feed entry of a commit, under a name of its own, so
// that readers can drop what they see twice.
func (s *Store) feedWrite(resources ...registry.Resource) docdb.Write {
	fields := map[string]*docdb.Value{fieldExpiresAt: docdb.Timestamp(time.Now().Add(FeedTTL))}
	if len(resources) == 1 {
		fields[fieldResource], fields[fieldFormat] = docdb.Text(resources[0].DocumentID()), docdb.Integer(feedFormatOne)
	} else {
		names := make([]string, len(resources))
		for i, r := range resources {
			names[i] = r.DocumentID()
		}
		fields[fieldResources], fields[fieldFormat] = docdb.Texts(names), docdb.Integer(feedFormatMany)
	}
	w := docdb.Write{Name: s.db.Name(FeedCollection, rand.Text()), Fields: fields, Times: []string{fieldAt}, If: docdb.Absent}
	if head := s.head.Load(); head != nil && head.layout.sharded {
		fields[fieldShard] = docdb.Integer(int64(s.chance() * feedShards))
		w.Times = []string{fieldChangedAt}
	}
	return w
}

// feedTime is the time of a document's entry.
func feedTime(d *docdb.Document) time.Time {
	if at := d.Fields[fieldAt]; !docdb.Missing(at) {
		return timestamp(at)
	}
	return timestamp(d.Fields[fieldChangedAt])
}

// feedEntry is the entry of a document; none if the cursor knows it.
func (s *Store) feedEntry(ctx context.Context, d *docdb.Document, cursor *ownership.FeedCursor) []ownership.FeedEntry {
	e := ownership.FeedEntry{ID: path.Base(d.Name), At: feedTime(d)}
	if cursor.Knows(e.ID, e.At) {
		return nil
	}
	_, err := decodeFormat(d)
	resources, err2 := decodeResources(d.Fields)
	if err := cmp.Or(err, err2); err != nil {
		e.Unread = s.tooNew(ctx, "feed", ownership.TooNew(shortName(d.Name), err))
	} else {
		e.Resources = resources
	}
	return []ownership.FeedEntry{e}
}

// decodeResources is what an entry names: in one field if it is one resource, as
// in format 1, else in the other.
func decodeResources(fields map[string]*docdb.Value) ([]registry.Resource, error) {
	names, field := fields[fieldResources].GetArrayValue().GetValues(), fieldResources
	if one := fields[fieldResource]; !docdb.Missing(one) {
		names, field = []*docdb.Value{one}, fieldResource
	}
	if len(names) == 0 {
		return nil, errors.New("it names no resource")
	}
	resources := make([]registry.Resource, len(names))
	for i, name := range names {
		var err error
		if resources[i], err = registry.ParseDocumentID(name.GetStringValue()); err != nil {
			return nil, named(field, err)
		}
	}
	return resources, nil
}
