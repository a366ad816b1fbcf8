package firestore

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a resource's document. The first is fixed (design §3).
const (
	fieldTenantID = "tenant_id"
	fieldPath     = "path"    // array of tenants, the last is tenant_id as we wrote it
	fieldHistory  = "history" // array of maps, in version order
	fieldLedger   = "ledger"  // ledger position of path and tenant_id
	// fieldDisplaced is an array of maps as those of the history: what lost its
	// place there, for people to see. A ledger entry may have it too.
	fieldDisplaced = "displaced"
)

// encode makes the document of an update. Times are text, since Firestore's
// timestamps end at microseconds and versions go to the nanosecond.
func (s *Store) encode(r registry.Resource, u registry.Update) *firestorepb.Document {
	tenants := make([]*firestorepb.Value, len(u.Path))
	for i, t := range u.Path {
		tenants[i] = text(t)
	}
	document := &firestorepb.Document{
		Name: s.resourceName(r),
		Fields: map[string]*firestorepb.Value{
			fieldTenantID: text(u.TenantID),
			fieldPath:     array(tenants),
			fieldHistory:  encodeEntries(u.History),
			fieldLedger:   integer(u.LedgerSeq),
		},
	}
	if len(u.Displaced) > 0 {
		document.Fields[fieldDisplaced] = encodeEntries(u.Displaced)
	}
	return document
}

func encodeEntry(e registry.Entry) *firestorepb.Value {
	fields := map[string]*firestorepb.Value{
		"type":   text(string(storedType(e.Type))),
		"time":   text(e.Time.Format(time.RFC3339Nano)),
		"source": text(e.Source),
		"id":     text(e.ID),
	}
	if e.Type == registry.Moved {
		fields["from"], fields["to"] = text(e.From), text(e.To)
	} else {
		fields["tenant"] = text(e.Tenant)
	}
	if e.Reason != "" {
		fields["reason"] = text(e.Reason)
	}
	if e.Actor != "" {
		fields["actor"] = text(e.Actor)
	}
	return fieldsOf(fields)
}

// storedType keeps a claim as a creation, which every release understands, until
// documents say which release a reader needs.
func storedType(t registry.EntryType) registry.EntryType {
	if t == registry.Claimed {
		return registry.Created
	}
	return t
}

func encodeEntries(all []registry.Entry) *firestorepb.Value {
	values := make([]*firestorepb.Value, len(all))
	for i, e := range all {
		values[i] = encodeEntry(e)
	}
	return array(values)
}

func decodeEntries(v *firestorepb.Value) (all []registry.Entry, err error) {
	for i, value := range v.GetArrayValue().GetValues() {
		e, err := decodeEntry(value.GetMapValue().GetFields())
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func fieldsOf(fields map[string]*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}
}

// decode makes a record of a document. A document with fields of ours that
// cannot be read was written by somebody else: it is taken as a plain set, and
// said in the log by the caller.
func decode(d *firestorepb.Document) (registry.Record, error) {
	history, err := decodeHistory(d.Fields[fieldHistory])
	if err != nil {
		history, err = nil, fmt.Errorf("document %s: %w", path.Base(d.Name), err)
	}
	var tenants []string
	for _, v := range d.Fields[fieldPath].GetArrayValue().GetValues() {
		tenants = append(tenants, v.GetStringValue())
	}
	r := registry.NewRecord(path.Base(d.Name), d.Fields[fieldTenantID].GetStringValue(), history, tenants,
		d.Fields[fieldLedger].GetIntegerValue(), d.UpdateTime.AsTime())
	var err2 error
	r.Displaced, err2 = decodeEntries(d.Fields[fieldDisplaced])
	return r, cmp.Or(err, err2)
}

func decodeHistory(v *firestorepb.Value) (registry.History, error) {
	var h registry.History
	for i, value := range v.GetArrayValue().GetValues() {
		e, err := decodeEntry(value.GetMapValue().GetFields())
		if err != nil {
			return nil, fmt.Errorf("history entry %d: %w", i, err)
		}
		h, _ = h.Merge(e)
	}
	return h, nil
}

func decodeEntry(fields map[string]*firestorepb.Value) (registry.Entry, error) {
	e := registry.Entry{
		Type:    registry.EntryType(fields["type"].GetStringValue()),
		Version: registry.Version{Source: fields["source"].GetStringValue(), ID: fields["id"].GetStringValue()},
		Tenant:  fields["tenant"].GetStringValue(),
		From:    fields["from"].GetStringValue(),
		To:      fields["to"].GetStringValue(),
		Reason:  fields["reason"].GetStringValue(),
		Actor:   fields["actor"].GetStringValue(),
	}
	switch e.Type {
	case registry.Created, registry.Asserted, registry.Moved:
	default:
		return e, fmt.Errorf("type %q is unknown", e.Type)
	}
	if e.Type == registry.Created && e.Source == registry.ClaimSource && strings.HasSuffix(e.ID, "__"+e.Tenant) {
		e.Type = registry.Claimed // as encodeEntry stored it
	}
	at, err := time.Parse(time.RFC3339Nano, fields["time"].GetStringValue())
	if err != nil {
		return e, err
	}
	e.Time = at.UTC()
	return e, nil
}

func text(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func integer(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

func boolean(b bool) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: b}}
}

func array(values []*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: values}}}
}
