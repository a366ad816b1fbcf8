package rules

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// condition is one field filter of a conjunction.
type condition struct {
	path string
	op   firestorepb.StructuredQuery_FieldFilter_Operator
}

const (
	opEqual       = firestorepb.StructuredQuery_FieldFilter_EQUAL
	opIn          = firestorepb.StructuredQuery_FieldFilter_IN
	opContains    = firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS
	opContainsAny = firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY
	opNotEqual    = firestorepb.StructuredQuery_FieldFilter_NOT_EQUAL
)

// disjunctions returns how many disjunctions a filter has in disjunctive normal
// form: an OR adds up what it joins, an AND multiplies it, and IN and
// array-contains-any are an OR of their values
// (https://firebase.google.com/docs/firestore/query-data/queries#limits_on_or_queries).
// It stops counting once there are too many.
func disjunctions(f *firestorepb.StructuredQuery_Filter, enough int) int {
	switch f := f.GetFilterType().(type) {
	case *firestorepb.StructuredQuery_Filter_FieldFilter:
		switch f.FieldFilter.GetOp() {
		case opIn, opContainsAny:
			return len(f.FieldFilter.GetValue().GetArrayValue().GetValues())
		}
	case *firestorepb.StructuredQuery_Filter_CompositeFilter:
		or := f.CompositeFilter.GetOp() == firestorepb.StructuredQuery_CompositeFilter_OR
		n := 1
		if or {
			n = 0
		}
		for _, one := range f.CompositeFilter.GetFilters() {
			if or {
				n += disjunctions(one, enough)
			} else {
				n *= disjunctions(one, enough)
			}
			if n > enough {
				return n
			}
		}
		return n
	}
	return 1
}

// conjunctions returns a filter in disjunctive normal form: for each disjunction
// its conditions. IN and array-contains-any are one condition each, whatever the
// number of their values, since all values need the same index.
func conjunctions(f *firestorepb.StructuredQuery_Filter) [][]condition {
	switch f := f.GetFilterType().(type) {
	case *firestorepb.StructuredQuery_Filter_FieldFilter:
		op := f.FieldFilter.GetOp()
		switch op {
		case opIn:
			op = opEqual
		case opContainsAny:
			op = opContains
		}
		return [][]condition{{{f.FieldFilter.GetField().GetFieldPath(), op}}}
	case *firestorepb.StructuredQuery_Filter_UnaryFilter:
		op := opEqual // is null, is NaN
		switch f.UnaryFilter.GetOp() {
		case firestorepb.StructuredQuery_UnaryFilter_IS_NOT_NAN, firestorepb.StructuredQuery_UnaryFilter_IS_NOT_NULL:
			op = opNotEqual
		}
		return [][]condition{{{f.UnaryFilter.GetField().GetFieldPath(), op}}}
	case *firestorepb.StructuredQuery_Filter_CompositeFilter:
		if f.CompositeFilter.GetOp() == firestorepb.StructuredQuery_CompositeFilter_OR {
			var all [][]condition
			for _, one := range f.CompositeFilter.GetFilters() {
				all = append(all, conjunctions(one)...)
			}
			return all
		}
		all := [][]condition{nil}
		for _, one := range f.CompositeFilter.GetFilters() {
			all = product(all, conjunctions(one))
		}
		return all
	}
	return [][]condition{nil}
}

func product(left, right [][]condition) [][]condition {
	var all [][]condition
	for _, l := range left {
		for _, r := range right {
			all = append(all, append(append([]condition(nil), l...), r...))
		}
	}
	return all
}
