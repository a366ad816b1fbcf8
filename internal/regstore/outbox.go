package regstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a document in the outbox: the entry as a history has it, and the
// documents of its resources; none if it is of the ledger. Source and id of a retraction
// are those of the move.
const (
	fieldEntry       = "entry"        // map
	fieldEventName   = "event_name"   // map: source and id of the event that a claim names
	fieldOfResource  = "of_resource"  // name of a document
	fieldOfResources = "of_resources" // names of several, in place of the one
)

// outboxFormat is the format of a document in the outbox.
const outboxFormat = 1

// outboxShards is how many orders by time the outbox's names are in. A sweep reads
// from where the last one has ended, and not from the first name: else it would pass
// over all that was deleted since, of which Firestore warns
// (https://cloud.google.com/firestore/docs/best-practices, "Avoid skipping over
// deleted data"). So names begin with times; and since Firestore takes some 500
// writes a second to names in one order, there are several orders.
const outboxShards = 8

// outboxWrites are the writes that put changes into the outbox, in a commit that
// rests on a read at a time; none if the registry has no log. Changes of one event go
// together. logged is what they put there.
func (s *Store) outboxWrites(at time.Time, changes ...ownership.Change) (writes []docdb.Write, logged []ownership.Logged) {
	if !s.logs() {
		return nil, nil
	}
	for _, event := range byEvent(changes) {
		l := ownership.Logged{Name: s.outboxName(int(s.chance()*outboxShards), at, rand.Text()), Changes: event, At: at}
		writes, logged = append(writes, docdb.Write{Name: l.Name, Fields: encodeLogged(l), If: docdb.Absent}), append(logged, l)
	}
	return writes, logged
}

// sweptNoSooner is the latest time of a commit with documents in the outbox whose names
// have the time of a read that was sent then: a sweep that passes over them comes later,
// even if this process was stopped after the read (SweepOutbox).
func (s *Store) sweptNoSooner(asked time.Time) time.Time {
	return asked.Add(s.ledgerStaleness + s.commitDeadline)
}

// byEvent groups the changes that one move makes, in the order in which they come.
func byEvent(changes []ownership.Change) (events [][]ownership.Change) {
	index := map[ownership.Entry]int{}
	for _, c := range changes {
		i, known := index[c.Entry]
		if c.OfLedger() || c.Entry.Type != ownership.Moved || !known {
			i = len(events)
			events = append(events, nil)
			index[c.Entry] = i
		}
		events[i] = append(events[i], c)
	}
	return events
}

// outboxName is the name of a document of a shard, behind all earlier ones of it.
func (s *Store) outboxName(shard int, at time.Time, unique string) string {
	return s.db.Name(OutboxCollection, fmt.Sprintf("%d.%020d.%s", shard, at.UnixMicro(), unique))
}

func encodeLogged(l ownership.Logged) map[string]*docdb.Value {
	first := l.Changes[0]
	fields := map[string]*docdb.Value{
		fieldEntry:  encodeLoggedEntry(first.Entry),
		fieldAt:     docdb.Timestamp(l.At),
		fieldFormat: docdb.Integer(outboxFormat),
	}
	switch {
	case len(l.Changes) > 1:
		names := make([]string, len(l.Changes))
		for i, c := range l.Changes {
			names[i] = c.Resource.DocumentID()
		}
		fields[fieldOfResources] = docdb.Texts(names)
	case !first.OfLedger():
		fields[fieldOfResource] = docdb.Text(first.Resource.DocumentID())
	}
	if e := first.Entry.Event; e != (ownership.EventName{}) {
		fields[fieldEventName] = docdb.Map(map[string]*docdb.Value{fieldSource: docdb.Text(e.Source), fieldID: docdb.Text(e.ID)})
	}
	return fields
}

// encodeLoggedEntry is encodeEntry without the tenant that a retraction does not have.
func encodeLoggedEntry(e ownership.Entry) *docdb.Value {
	v := encodeEntry(e)
	if e.Type == ownership.Retracted {
		delete(v.GetMapValue().Fields, "tenant")
	}
	return v
}

// decodeLogged is what a document of the outbox holds. The error says why it is not
// understood.
func decodeLogged(d *docdb.Document) (ownership.Logged, error) {
	l := ownership.Logged{Name: d.Name, At: timestamp(d.Fields[fieldAt])}
	_, err := decodeFormat(d)
	entry, err2 := decodeLoggedEntry(d.Fields[fieldEntry].GetMapValue().GetFields())
	resources, err3 := decodeOfResources(d.Fields)
	if err := cmp.Or(err, named(fieldEntry, err2), named(fieldOfResource, err3)); err != nil {
		return l, ownership.TooNew(shortName(d.Name), err)
	}
	event := d.Fields[fieldEventName].GetMapValue().GetFields()
	entry.Event = ownership.EventName{Source: event[fieldSource].GetStringValue(), ID: event[fieldID].GetStringValue()}
	for _, r := range resources {
		l.Changes = append(l.Changes, ownership.Change{Resource: r, Entry: entry})
	}
	wrong := entry.Type == ownership.Claimed && (l.Changes[0].OfLedger() || len(resources) > 1) ||
		entry.Type == ownership.Retracted && !l.Changes[0].OfLedger()
	if wrong {
		return l, ownership.TooNew(shortName(d.Name), fmt.Errorf("%s: %q is of a resource, or of the ledger, that is not its own", fieldEntry, entry.Type))
	}
	return l, nil
}

// decodeOfResources is what an entry is of: the zero Resource is the ledger.
func decodeOfResources(fields map[string]*docdb.Value) ([]registry.Resource, error) {
	names := []string{fields[fieldOfResource].GetStringValue()}
	if several := fields[fieldOfResources].GetArrayValue().GetValues(); len(several) > 0 {
		names = nil
		for _, v := range several {
			names = append(names, v.GetStringValue())
		}
	} else if names[0] == "" {
		return []registry.Resource{{}}, nil
	}
	resources := make([]registry.Resource, len(names))
	for i, name := range names {
		var err error
		if resources[i], err = registry.ParseDocumentID(name); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// decodeLoggedEntry is decodeEntry for the types that are published.
func decodeLoggedEntry(fields map[string]*docdb.Value) (ownership.Entry, error) {
	switch t := ownership.EntryType(fields["type"].GetStringValue()); t {
	case ownership.Claimed, ownership.Moved:
		return decodeEntry(fields)
	case ownership.Retracted:
		at, err := time.Parse(time.RFC3339Nano, fields["time"].GetStringValue())
		return ownership.Entry{
			Type: t, Version: ownership.Version{Time: at, Source: fields["source"].GetStringValue(), ID: fields["id"].GetStringValue()},
			Actor: fields["actor"].GetStringValue(), Reason: fields["reason"].GetStringValue(),
		}, err
	default:
		return ownership.Entry{}, fmt.Errorf("type %q is none that is published", t)
	}
}

// OnLogged implements ownership.Outbox.
func (s *Store) OnLogged(stored func(ownership.Logged)) { s.onLogged.Store(&stored) }

// tellLogged tells of what a commit has put into the outbox.
func (s *Store) tellLogged(logged []ownership.Logged) {
	stored := s.onLogged.Load()
	for _, l := range logged {
		if stored != nil {
			(*stored)(l)
		}
	}
}

// Published implements ownership.Outbox.
func (s *Store) Published(ctx context.Context, names []string) error {
	for len(names) > 0 {
		n := min(len(names), docdb.MaxWrites)
		writes := make([]docdb.Write, n)
		for i, name := range names[:n] {
			writes[i] = docdb.Write{Name: name, Delete: true}
		}
		results, err := s.batchWrite(ctx, time.Now().Add(s.commitDeadline), writes)
		if err != nil {
			return fmt.Errorf("remove from the outbox: %w", err)
		}
		for i, code := range results {
			if code != codes.OK {
				return fmt.Errorf("remove %s from the outbox: %w", path.Base(names[i]), unavailable("batch write", errors.New(code.String())))
			}
		}
		names = names[n:]
	}
	return nil
}
