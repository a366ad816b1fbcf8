package docdb

import (
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Text makes a value.
func Text(s string) *Value {
	return &Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

// Integer makes a value.
func Integer(n int64) *Value {
	return &Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

// Double makes a value.
func Double(f float64) *Value {
	return &Value{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: f}}
}

// Boolean makes a value.
func Boolean(b bool) *Value {
	return &Value{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: b}}
}

// Timestamp makes a value, of which the database keeps the microseconds.
func Timestamp(t time.Time) *Value {
	return &Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(t)}}
}

// Null makes a value.
func Null() *Value { return &Value{ValueType: &firestorepb.Value_NullValue{}} }

// Array makes a value.
func Array(values []*Value) *Value {
	return &Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{Values: values}}}
}

// Texts makes an array of texts.
func Texts(all []string) *Value {
	values := make([]*Value, len(all))
	for i, s := range all {
		values[i] = Text(s)
	}
	return Array(values)
}

// Map makes a value.
func Map(fields map[string]*Value) *Value {
	return &Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}
}

// Missing reports whether a field is not there, or null.
func Missing(v *Value) bool {
	_, null := v.GetValueType().(*firestorepb.Value_NullValue)
	return v == nil || null
}
