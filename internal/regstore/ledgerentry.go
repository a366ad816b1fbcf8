package regstore

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of a ledger entry.
const (
	fieldSource      = "source"
	fieldID          = "id"
	fieldTime        = "time" // text, to the nanosecond
	fieldFrom        = "from"
	fieldTo          = "to"
	fieldSeq         = "seq"        // position of the last change to the entry
	fieldChangedAt   = "changed_at" // time of that change's request
	fieldRetracted   = "retracted"
	fieldRetractedBy = "retracted_by" // of the first retraction
	fieldRetractedAt = "retracted_at" // text
	fieldRetractions = "retractions"  // array of maps: all of them, the first seen first
	fieldReason      = "reason"
	fieldActor       = "actor"
	fieldRewriting   = "rewriting" // map: the job, and how far it is
	fieldPending     = "pending"   // seq as long as the job is not done, less than 0 while it is parked
)

// entryFields are ours, except those of the job.
var entryFields = []string{
	fieldSource, fieldID, fieldTime, fieldFrom, fieldTo, fieldSeq, fieldReason, fieldActor, fieldDisplaced,
	fieldRetracted, fieldRetractedBy, fieldRetractedAt, fieldRetractions, fieldFormat,
}

// entryFormat is the format of what ledgerWrite writes.
const entryFormat = 1

// The fields of the map that a job is.
const (
	fieldState      = "state"
	fieldTenants    = "tenants"
	fieldLast       = "last"
	fieldCursor     = "cursor"
	fieldRanges     = "ranges" // map: what is left of the last pass, and of which change
	fieldTotal      = "total"
	fieldPassed     = "passed"
	fieldRead       = "read"
	fieldWritten    = "written"
	fieldHolder     = "holder"
	fieldCommitted  = "committed_at" // of the change; there once the job was claimed
	fieldStartedAt  = "started_at"
	fieldUpdatedAt  = "updated_at"
	fieldFinishedAt = "finished_at"
	fieldTries      = "tries"
	fieldFailure    = "failure"
	fieldRetryAt    = "retry_at"
	fieldParkedAt   = "parked_at" // void if the entry is pending: a release that does not know it has queued the job
)

// jobMask names the fields of a job, each for itself.
func jobMask() []string {
	mask := []string{fieldPending}
	for _, field := range []string{
		fieldState, fieldTenants, fieldLast, fieldCursor, fieldRanges, fieldTotal, fieldPassed, fieldRead, fieldWritten, fieldHolder,
		fieldCommitted, fieldStartedAt, fieldUpdatedAt, fieldFinishedAt, fieldTries, fieldFailure, fieldRetryAt, fieldParkedAt,
	} {
		mask = append(mask, fieldRewriting+"."+field)
	}
	return mask
}

func (s *Store) ledgerWrite(name string, e ownership.LedgerEntry, existing *docdb.Document) docdb.Write {
	fields := jobFields(e)
	fields[fieldSource], fields[fieldID], fields[fieldSeq] = docdb.Text(e.Source), docdb.Text(e.ID), docdb.Integer(e.Position)
	fields[fieldFormat] = docdb.Integer(entryFormat)
	if !e.RetractionOnly {
		fields[fieldTime], fields[fieldFrom], fields[fieldTo] = docdb.Text(e.Time.Format(time.RFC3339Nano)), docdb.Text(e.From), docdb.Text(e.To)
	}
	if e.Reason != "" {
		fields[fieldReason] = docdb.Text(e.Reason)
	}
	if e.Actor != "" {
		fields[fieldActor] = docdb.Text(e.Actor)
	}
	if len(e.Displaced) > 0 {
		fields[fieldDisplaced] = encodeEntries(e.Displaced)
	}
	if e.Retracted() {
		first := e.Retractions[0]
		fields[fieldRetracted] = docdb.Boolean(true)
		fields[fieldRetractedBy], fields[fieldRetractedAt] = docdb.Text(first.By), docdb.Text(first.At.Format(time.RFC3339Nano))
		fields[fieldRetractions] = encodeRetractions(e.Retractions)
	}
	return docdb.Write{
		Name:   name,
		Fields: fields,
		Mask:   append(jobMask(), entryFields...),
		Times:  []string{fieldChangedAt},
		If:     docdb.AsRead(existing),
	}
}

// jobFields are the fields of the entry's job. It is queried for by one field that a
// job which is done does not have. Workers, those of earlier releases too, look for
// what is greater than 0 there, so what is parked is negative.
func jobFields(e ownership.LedgerEntry) map[string]*docdb.Value {
	r := e.Rewriting
	job := map[string]*docdb.Value{
		fieldState:   docdb.Text(string(r.State)),
		fieldTenants: docdb.Texts(r.Tenants),
		fieldLast:    docdb.Boolean(r.Last),
		fieldCursor:  docdb.Text(r.Cursor),
		fieldTotal:   docdb.Integer(r.Total),
		fieldPassed:  docdb.Integer(r.Passed),
		fieldRead:    docdb.Integer(r.Read),
		fieldWritten: docdb.Integer(r.Written),
		fieldHolder:  docdb.Text(r.Holder),
	}
	if r.Last && len(r.Ranges) > 0 {
		job[fieldRanges] = encodeRanges(e.Position, r.Ranges)
	}
	if r.Tries > 0 {
		job[fieldTries], job[fieldFailure] = docdb.Integer(r.Tries), docdb.Text(r.Failure)
	}
	for field, at := range map[string]time.Time{
		fieldCommitted: r.CommittedAt, fieldStartedAt: r.StartedAt, fieldUpdatedAt: r.UpdatedAt, fieldFinishedAt: r.FinishedAt,
		fieldRetryAt: r.RetryAt, fieldParkedAt: r.ParkedAt,
	} {
		if !at.IsZero() {
			job[field] = docdb.Timestamp(at)
		}
	}
	fields := map[string]*docdb.Value{
		fieldRewriting: docdb.Map(job),
	}
	switch {
	case r.Parked():
		fields[fieldPending] = docdb.Integer(-e.Position)
	case r.Pending():
		fields[fieldPending] = docdb.Integer(e.Position)
	}
	return fields
}

// decodeLedgerEntry makes an entry of a document. The entry of one that is not
// understood says why, and of itself what a ledger needs to know.
func decodeLedgerEntry(d *docdb.Document) ownership.LedgerEntry {
	_, err := decodeFormat(d)
	e, err2 := decodeMove(d)
	why := cmp.Or(err, err2)
	if why == nil {
		return e
	}
	if err != nil || registry.ValidateTenant(e.From) != nil {
		e.From = "" // who knows what it is
	}
	if e.Source == "" || e.ID == "" {
		e.Source, e.ID = "", path.Base(d.Name)
	}
	e.Document = path.Base(d.Name)
	e.Unread = ownership.TooNewMove(shortName(d.Name), why)
	return e
}

func decodeMove(d *docdb.Document) (ownership.LedgerEntry, error) {
	f := d.Fields
	e := ownership.LedgerEntry{
		Version:   ownership.Version{Source: f[fieldSource].GetStringValue(), ID: f[fieldID].GetStringValue()},
		From:      f[fieldFrom].GetStringValue(),
		To:        f[fieldTo].GetStringValue(),
		Position:  f[fieldSeq].GetIntegerValue(),
		ChangedAt: f[fieldChangedAt].GetTimestampValue().AsTime(),
		Reason:    f[fieldReason].GetStringValue(),
		Actor:     f[fieldActor].GetStringValue(),
		Rewriting: decodeRewriting(f[fieldRewriting].GetMapValue().GetFields()),
	}
	if e.Rewriting.Last {
		e.Rewriting.Ranges = decodeRanges(e.Position, f[fieldRewriting].GetMapValue().GetFields()[fieldRanges])
	}
	if f[fieldPending].GetIntegerValue() > 0 {
		e.Rewriting.ParkedAt = time.Time{}
	}
	var err error
	if e.RetractionOnly = f[fieldTime] == nil; !e.RetractionOnly {
		if e.Time, err = time.Parse(time.RFC3339Nano, f[fieldTime].GetStringValue()); err != nil {
			return e, named(fieldTime, err)
		}
	}
	if e.Displaced, err = decodeEntries(f[fieldDisplaced]); err != nil {
		return e, named(fieldDisplaced, err)
	}
	if e.Retractions, err = decodeRetractions(f); err != nil {
		return e, err
	}
	return e, unread(e)
}

// unread returns why what was read of an entry cannot be one.
func unread(e ownership.LedgerEntry) error {
	switch {
	case !slices.Contains([]ownership.RewritingState{"", ownership.RewritingQueued, ownership.RewritingRunning, ownership.RewritingDone}, e.Rewriting.State):
		return fmt.Errorf("%s.%s: %q is unknown", fieldRewriting, fieldState, e.Rewriting.State)
	case e.Source == "" || e.ID == "":
		return errors.New("it names no event")
	case e.RetractionOnly && !e.Retracted():
		return errors.New("it has no time")
	case e.RetractionOnly:
		return nil
	}
	return cmp.Or(named(fieldFrom, registry.ValidateTenant(e.From)), named(fieldTo, registry.ValidateTenant(e.To)))
}

func encodeRetractions(all []ownership.Said) *docdb.Value {
	values := make([]*docdb.Value, len(all))
	for i, said := range all {
		values[i] = docdb.Map(map[string]*docdb.Value{
			"by": docdb.Text(said.By), "why": docdb.Text(said.Why), "at": docdb.Text(said.At.Format(time.RFC3339Nano)),
		})
	}
	return docdb.Array(values)
}

// decodeRetractions returns what was said, the first seen first; if there is
// no list, the one retraction of an entry that an earlier release wrote.
func decodeRetractions(f map[string]*docdb.Value) (all []ownership.Said, err error) {
	if _, ok := f[fieldRetracted].GetValueType().(*firestorepb.Value_BooleanValue); !ok && !docdb.Missing(f[fieldRetracted]) {
		return nil, fmt.Errorf("%s: is no boolean", fieldRetracted)
	}
	if !f[fieldRetracted].GetBooleanValue() {
		return nil, nil
	}
	list := f[fieldRetractions].GetArrayValue().GetValues()
	if len(list) == 0 {
		list = []*docdb.Value{docdb.Map(map[string]*docdb.Value{"by": f[fieldRetractedBy], "at": f[fieldRetractedAt]})}
	}
	for i, v := range list {
		fields := v.GetMapValue().GetFields()
		said := ownership.Said{By: fields["by"].GetStringValue(), Why: fields["why"].GetStringValue()}
		if said.At, err = time.Parse(time.RFC3339Nano, fields["at"].GetStringValue()); err != nil {
			return nil, fmt.Errorf("retraction %d: %w", i, err)
		}
		all = append(all, said)
	}
	return all, nil
}

// encodeRanges makes a value of what is left of the last pass for the change at a
// position: a release that does not know ranges may leave those of an earlier change.
func encodeRanges(position int64, ranges []ownership.Range) *docdb.Value {
	values := make([]*docdb.Value, len(ranges))
	for i, r := range ranges {
		values[i] = docdb.Map(map[string]*docdb.Value{"after": docdb.Text(r.After), "up_to": docdb.Text(r.UpTo)})
	}
	return docdb.Map(map[string]*docdb.Value{"position": docdb.Integer(position), "left": docdb.Array(values)})
}

func decodeRanges(position int64, v *docdb.Value) (ranges []ownership.Range) {
	f := v.GetMapValue().GetFields()
	if f["position"].GetIntegerValue() != position {
		return nil
	}
	for _, r := range f["left"].GetArrayValue().GetValues() {
		fields := r.GetMapValue().GetFields()
		ranges = append(ranges, ownership.Range{After: fields["after"].GetStringValue(), UpTo: fields["up_to"].GetStringValue()})
	}
	return ranges
}

func decodeRewriting(f map[string]*docdb.Value) ownership.Rewriting {
	r := ownership.Rewriting{
		State:       ownership.RewritingState(f[fieldState].GetStringValue()),
		Last:        f[fieldLast].GetBooleanValue(),
		Cursor:      f[fieldCursor].GetStringValue(),
		Total:       f[fieldTotal].GetIntegerValue(),
		Passed:      f[fieldPassed].GetIntegerValue(),
		Read:        f[fieldRead].GetIntegerValue(),
		Written:     f[fieldWritten].GetIntegerValue(),
		Holder:      f[fieldHolder].GetStringValue(),
		CommittedAt: timestamp(f[fieldCommitted]),
		StartedAt:   timestamp(f[fieldStartedAt]),
		UpdatedAt:   timestamp(f[fieldUpdatedAt]),
		FinishedAt:  timestamp(f[fieldFinishedAt]),
		Tries:       f[fieldTries].GetIntegerValue(),
		Failure:     f[fieldFailure].GetStringValue(),
		RetryAt:     timestamp(f[fieldRetryAt]),
		ParkedAt:    timestamp(f[fieldParkedAt]),
	}
	for _, t := range f[fieldTenants].GetArrayValue().GetValues() {
		r.Tenants = append(r.Tenants, t.GetStringValue())
	}
	return r
}

// timestamp is zero if there is none.
func timestamp(v *docdb.Value) time.Time {
	if v.GetTimestampValue() == nil {
		return time.Time{}
	}
	return v.GetTimestampValue().AsTime()
}
