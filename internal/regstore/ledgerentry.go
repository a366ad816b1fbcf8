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

// timestamp is zero if there is none.
func timestamp(v *docdb.Value) time.Time {
	if v.GetTimestampValue() == nil {
		return time.Time{}
	}
	return v.GetTimestampValue().AsTime()
}
