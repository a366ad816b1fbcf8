package regstore

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
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
	// fieldClaimEvent is a map: the source and id of the event that the history's
	// claim goes with, and the claim's time. It is not in the history, from which
	// the release before would drop it with its next write.
	fieldClaimEvent = "claim_event"
)

// fieldFormat is of every document that this program writes: the least format
// that a reader needs (ownership.Format).
const fieldFormat = "format"

// resourceFields are ours. A write to a document that exists names them, and so
// leaves fields alone that others have put there, a later release among them. Only a
// tombstone, and what an erased tenant would own, have an expiry: any other write
// removes it, no matter who put it there, since Firestore would delete the document.
var resourceFields = []string{fieldTenantID, fieldPath, fieldHistory, fieldLedger, fieldDisplaced, fieldClaimEvent, fieldFormat, fieldExpiresAt}

// encode makes the fields of an update. Times are text, since a database's
// timestamps end at microseconds and versions go to the nanosecond. What an erased tenant
// would own expires.
func encode(u ownership.Update, expires *docdb.Value) map[string]*docdb.Value {
	fields := map[string]*docdb.Value{
		fieldTenantID: docdb.Text(u.TenantID),
		fieldPath:     docdb.Texts(u.Path),
		fieldHistory:  encodeEntries(u.History),
		fieldLedger:   docdb.Integer(u.LedgerPosition),
		fieldFormat:   docdb.Integer(u.Format),
	}
	if ownership.IsPseudonym(u.TenantID) {
		fields[fieldExpiresAt] = expires
	}
	if len(u.Displaced) > 0 {
		fields[fieldDisplaced] = encodeEntries(u.Displaced)
	}
	if claim, ok := u.History.Claimed(); ok && claim.Event != (ownership.EventName{}) {
		fields[fieldClaimEvent] = docdb.Map(map[string]*docdb.Value{
			"source": docdb.Text(claim.Event.Source), "id": docdb.Text(claim.Event.ID), "claimed_at": docdb.Text(claim.Time.Format(time.RFC3339Nano)),
		})
	}
	return fields
}

func encodeEntry(e ownership.Entry) *docdb.Value {
	fields := map[string]*docdb.Value{
		"type": docdb.Text(string(e.Type)),
		"time": docdb.Text(e.Time.Format(time.RFC3339Nano)),
	}
	if e.Type == ownership.Deleted {
		return docdb.Map(fields)
	}
	fields["source"], fields["id"] = docdb.Text(e.Source), docdb.Text(e.ID)
	if e.Type == ownership.Moved {
		fields["from"], fields["to"] = docdb.Text(e.From), docdb.Text(e.To)
	} else {
		fields["tenant"] = docdb.Text(e.Tenant)
	}
	if e.Reason != "" {
		fields["reason"] = docdb.Text(e.Reason)
	}
	if e.Actor != "" {
		fields["actor"] = docdb.Text(e.Actor)
	}
	return docdb.Map(fields)
}

func encodeEntries(all []ownership.Entry) *docdb.Value {
	values := make([]*docdb.Value, len(all))
	for i, e := range all {
		values[i] = encodeEntry(e)
	}
	return docdb.Array(values)
}

func decodeEntries(v *docdb.Value) (all []ownership.Entry, err error) {
	if v.GetArrayValue() == nil && !docdb.Missing(v) {
		return nil, errors.New("is no array")
	}
	for i, value := range v.GetArrayValue().GetValues() {
		e, err := decodeEntry(value.GetMapValue().GetFields())
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// decode makes a record of a document. One that has fields of ours and cannot be
// read is of a later release, or was damaged: the record says why. One without was
// written by another program, with a plain set.
func decode(d *docdb.Document) ownership.Record {
	r := decodeAny(d)
	if r.Unread == nil && notUpgraded(d) {
		return ownership.UnreadRecord(r, 0, registry.ErrNotUpgraded)
	}
	return r
}

// notUpgraded reports whether a document is of commit 1571751.
func notUpgraded(d *docdb.Document) bool {
	return docdb.Missing(d.Fields[fieldFormat]) && !docdb.Missing(d.Fields[fieldHistory])
}

// decodeAny is decode for documents of commit 1571751 too.
func decodeAny(d *docdb.Document) ownership.Record {
	format, err := decodeFormat(d)
	history, err2 := decodeHistory(d.Fields[fieldHistory])
	tenants, err3 := decodePath(d.Fields[fieldPath])
	position, err4 := decodeInteger(d.Fields[fieldLedger])
	displaced, err5 := decodeEntries(d.Fields[fieldDisplaced])
	history = withClaimEvent(history, d.Fields[fieldClaimEvent])
	r := ownership.NewRecord(path.Base(d.Name), d.Fields[fieldTenantID].GetStringValue(), history, tenants, position, d.UpdateTime.AsTime())
	if err := cmp.Or(err, err2, err3, named(fieldLedger, err4), named(fieldDisplaced, err5)); err != nil {
		return ownership.UnreadRecord(r, format, err)
	}
	r.Format, r.Displaced = format, displaced
	return r
}

// withClaimEvent gives the claim its event. One of another claim, which a release
// that does not know the field has replaced, is left out.
func withClaimEvent(h ownership.History, v *docdb.Value) ownership.History {
	fields := v.GetMapValue().GetFields()
	for i, e := range h {
		if e.Type == ownership.Claimed && fields["claimed_at"].GetStringValue() == e.Time.Format(time.RFC3339Nano) {
			h[i].Event = ownership.EventName{Source: fields["source"].GetStringValue(), ID: fields["id"].GetStringValue()}
		}
	}
	return h
}

// decodeFormat is 0 if the document says none.
func decodeFormat(d *docdb.Document) (int64, error) {
	format, err := decodeInteger(d.GetFields()[fieldFormat])
	if err != nil {
		return 0, named(fieldFormat, err)
	}
	return format, ownership.CheckFormat(format)
}

func named(field string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

func decodeInteger(v *docdb.Value) (int64, error) {
	if _, ok := v.GetValueType().(*firestorepb.Value_IntegerValue); !ok && !docdb.Missing(v) {
		return 0, errors.New("is no integer")
	}
	return v.GetIntegerValue(), nil
}

func decodePath(v *docdb.Value) (tenants []string, err error) {
	if v.GetArrayValue() == nil && !docdb.Missing(v) {
		return nil, fmt.Errorf("%s: is no array", fieldPath)
	}
	for i, value := range v.GetArrayValue().GetValues() {
		tenant, ok := value.GetValueType().(*firestorepb.Value_StringValue)
		if !ok {
			return nil, fmt.Errorf("%s %d: is no text", fieldPath, i)
		}
		tenants = append(tenants, tenant.StringValue)
	}
	return tenants, nil
}

func decodeHistory(v *docdb.Value) (ownership.History, error) {
	all, err := decodeEntries(v)
	if err != nil {
		return nil, named(fieldHistory, err)
	}
	var h ownership.History
	for _, e := range all {
		h, _ = h.Merge(e)
	}
	return h, nil
}

func decodeEntry(fields map[string]*docdb.Value) (ownership.Entry, error) {
	e := ownership.Entry{
		Type:   ownership.EntryType(fields["type"].GetStringValue()),
		Reason: fields["reason"].GetStringValue(),
		Actor:  fields["actor"].GetStringValue(),
	}
	if !e.Type.Known() {
		return e, fmt.Errorf("type %q is unknown", e.Type)
	}
	var at string
	needed := map[string]*string{"time": &at}
	if e.Type != ownership.Deleted {
		needed["source"], needed["id"] = &e.Source, &e.ID
	}
	switch e.Type {
	case ownership.Deleted:
	case ownership.Moved:
		needed["from"], needed["to"] = &e.From, &e.To
	default:
		needed["tenant"] = &e.Tenant
	}
	for name, into := range needed {
		value, ok := fields[name].GetValueType().(*firestorepb.Value_StringValue)
		if !ok {
			return e, fmt.Errorf("%s: is no text", name)
		}
		*into = value.StringValue
	}
	parsed, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return e, err
	}
	e.Time = parsed.UTC()
	return e, nil
}
