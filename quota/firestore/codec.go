package firestore

import (
	"math"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/quota"
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
)

// windowFields are those that a write of a window replaces, resetFields those that
// a reset replaces besides. What else is in the document is left alone.
var (
	windowFields = []string{lastResetField, countField, lengthField, limitField, generationField, expiresAtField}
	resetFields  = []string{resetByField, resetAtField}
)

func encode(c quota.Change) map[string]*firestorepb.Value {
	fields := map[string]*firestorepb.Value{
		lastResetField:  {ValueType: &firestorepb.Value_DoubleValue{DoubleValue: c.Window.LastReset}},
		countField:      integer(c.Window.Count),
		generationField: integer(c.Window.Generation),
		expiresAtField:  timestamp(c.ExpiresAt),
	}
	if c.Window.Length > 0 { // not after a reset: the policy's count then
		fields[lengthField] = integer(int64(c.Window.Length / time.Second))
		fields[limitField] = integer(c.Window.Limit)
	}
	if c.ResetBy != "" {
		fields[resetByField] = &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: c.ResetBy}}
		fields[resetAtField] = timestamp(time.UnixMicro(int64(c.Window.LastReset * 1e6)))
	}
	return fields
}

// replaced are the fields that a change replaces.
func replaced(c quota.Change) []string {
	if c.ResetBy == "" {
		return windowFields
	}
	return slices.Concat(windowFields, resetFields)
}

func decodeReset(fields map[string]*firestorepb.Value) quota.ResetRecord {
	by, at := fields[resetByField].GetStringValue(), fields[resetAtField].GetTimestampValue()
	if by == "" || !at.IsValid() {
		return quota.ResetRecord{}
	}
	return quota.ResetRecord{By: by, At: at.AsTime()}
}

// decode reads what it can: a field that is missing, or of another type, is
// zero, which quota.Window gives a meaning.
func decode(fields map[string]*firestorepb.Value) quota.Window {
	return quota.Window{
		LastReset:  number(fields[lastResetField]),
		Count:      whole(fields[countField]),
		Length:     time.Duration(max(0, min(whole(fields[lengthField]), int64(quota.MaxWindow/time.Second)))) * time.Second,
		Limit:      min(whole(fields[limitField]), quota.MaxLimit),
		Generation: whole(fields[generationField]),
	}
}

// notice is the document that tells of a reset.
func notice(c quota.Change) map[string]*firestorepb.Value {
	return map[string]*firestorepb.Value{
		generationField: integer(c.Window.Generation),
		expiresAtField:  timestamp(time.UnixMicro(int64(c.Window.LastReset * 1e6)).Add(noticeKept)),
	}
}

// noticeKept is how long a notice of a reset may be of use: a process that has
// not heard of it by then has looked at the window itself.
const noticeKept = time.Hour

func integer(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

func timestamp(t time.Time) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(t)}}
}

// number reads a double, or the integer that other languages write for a whole
// one.
func number(v *firestorepb.Value) float64 {
	if i, ok := v.GetValueType().(*firestorepb.Value_IntegerValue); ok {
		return float64(i.IntegerValue)
	}
	return v.GetDoubleValue()
}

// whole reads an integer, or a double, rounded up and held to the bounds of an
// integer: a count must not become less. What is no number is zero.
func whole(v *firestorepb.Value) int64 {
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
func plain(v *firestorepb.Value) any {
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
