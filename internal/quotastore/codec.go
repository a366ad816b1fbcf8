package quotastore

import (
	"fmt"
	"math"
	"path"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// The fields of a window's document. The first two are fixed (design §3); the
// Python service's plain set erases the others.
const (
	lastResetField  = "last_reset" // unix seconds, double
	countField      = "count"      // integer
	lengthField     = "length"     // seconds, integer
	limitField      = "limit"      // integer
	generationField = "generation" // integer
	expiresAtField  = "expires_at" // timestamp, for the TTL policy
	resetByField    = "reset_by"   // who reset it last; string
	resetAtField    = "reset_at"   // when; timestamp
	formatField     = "format"     // integer: the least format that a reader needs
	sharingField    = "sharing"    // map, see sharing.go
)

// format is the highest format of windows and of resets that this version
// understands, and the one that it writes. A document that says none is of the
// Python service, or of commit 1571751: they have the same meaning.
const format = 1

// windowFields are those that a write of a window replaces, resetFields those that
// a reset replaces besides, noticeFields those of what tells of it. What else is
// in a document is left alone: others have put it there, a later release among
// them.
var (
	windowFields = []string{lastResetField, countField, lengthField, limitField, generationField, expiresAtField, formatField, sharingField}
	resetFields  = []string{resetByField, resetAtField}
	noticeFields = []string{generationField, expiresAtField, formatField}
)

// understood returns why a document is not understood; nil if it is, or if
// there is none.
func understood(d *docdb.Document) error {
	v := d.GetFields()[formatField]
	_, integer := v.GetValueType().(*firestorepb.Value_IntegerValue)
	if v == nil || integer && v.GetIntegerValue() >= 0 && v.GetIntegerValue() <= format {
		return nil
	}
	collection, id := path.Split(d.Name)
	return fmt.Errorf("document %s/%s: %w, %w: its format is %v, and this version knows those up to %d: use the release that wrote it; if none did, fix the document (docs/upgrades.md)",
		path.Base(collection), id, limits.ErrUnavailable, limits.ErrTooNew, plain(v), format)
}

func encode(c limits.Change) map[string]*docdb.Value {
	fields := map[string]*docdb.Value{
		lastResetField:  docdb.Double(c.Window.LastReset),
		countField:      docdb.Integer(c.Window.Count),
		generationField: docdb.Integer(c.Window.Generation),
		expiresAtField:  docdb.Timestamp(c.ExpiresAt),
		formatField:     docdb.Integer(format),
	}
	if c.Window.Length > 0 { // not after a reset: the policy's count then
		fields[lengthField] = docdb.Integer(int64(c.Window.Length / time.Second))
		fields[limitField] = docdb.Integer(c.Window.Limit)
	}
	if c.Window.Sharing != (limits.Sharing{}) {
		fields[sharingField] = encodeSharing(c.Window)
	}
	if c.ResetBy != "" {
		fields[resetByField] = &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: c.ResetBy}}
		fields[resetAtField] = docdb.Timestamp(time.UnixMicro(int64(c.Window.LastReset * 1e6)))
	}
	return fields
}

// replaced are the fields that a change replaces.
func replaced(c limits.Change) []string {
	if c.ResetBy == "" {
		return windowFields
	}
	return slices.Concat(windowFields, resetFields)
}

func decodeReset(fields map[string]*docdb.Value) limits.ResetRecord {
	by, at := fields[resetByField].GetStringValue(), fields[resetAtField].GetTimestampValue()
	if by == "" || !at.IsValid() {
		return limits.ResetRecord{}
	}
	return limits.ResetRecord{By: by, At: at.AsTime()}
}

// decode reads what it can: a field that is missing, or of another type, is
// zero, which limits.Window gives a meaning.
func decode(fields map[string]*docdb.Value) limits.Window {
	w := limits.Window{
		LastReset:  number(fields[lastResetField]),
		Count:      whole(fields[countField]),
		Length:     time.Duration(max(0, min(whole(fields[lengthField]), int64(limits.MaxWindow/time.Second)))) * time.Second,
		Limit:      min(whole(fields[limitField]), limits.MaxLimit),
		Generation: whole(fields[generationField]),
	}
	w.Sharing = decodeSharing(fields[sharingField], w)
	return w
}

// notice is the document that tells of a reset.
func notice(c limits.Change) map[string]*docdb.Value {
	return map[string]*docdb.Value{
		generationField: docdb.Integer(c.Window.Generation),
		expiresAtField:  docdb.Timestamp(time.UnixMicro(int64(c.Window.LastReset * 1e6)).Add(noticeKept)),
		formatField:     docdb.Integer(format),
	}
}

// noticeKept is how long a notice of a reset may be of use: a process that has
// not heard of it by then has looked at the window itself.
const noticeKept = time.Hour

// number reads a double, or the integer that other languages write for a whole
// one.
func number(v *docdb.Value) float64 {
	if i, ok := v.GetValueType().(*firestorepb.Value_IntegerValue); ok {
		return float64(i.IntegerValue)
	}
	return v.GetDoubleValue()
}

// whole reads an integer, or a double, rounded up and held to the bounds of an
// integer: a count must not become less. What is no number is zero.
func whole(v *docdb.Value) int64 {
	d, ok := v.GetValueType().(*firestorepb.Value_DoubleValue)
	switch {
	case !ok:
		return v.GetIntegerValue()
	case math.IsNaN(d.DoubleValue):
		return 0
	case d.DoubleValue >= math.MaxInt64:
		return math.MaxInt64
	case d.DoubleValue <= math.MinInt64:
		return math.MinInt64
	}
	return int64(math.Ceil(d.DoubleValue))
}

// plain is a value as package quota takes it.
func plain(v *docdb.Value) any {
	switch v := v.GetValueType().(type) {
	case *firestorepb.Value_StringValue:
		return v.StringValue
	case *firestorepb.Value_IntegerValue:
		return v.IntegerValue
	case *firestorepb.Value_DoubleValue:
		return v.DoubleValue
	case *firestorepb.Value_BooleanValue:
		return v.BooleanValue
	}
	return v
}
