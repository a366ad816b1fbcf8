package regstore

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
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
