package rules_test

import (
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
)

func field(path string) *firestorepb.StructuredQuery_FieldReference {
	return &firestorepb.StructuredQuery_FieldReference{FieldPath: path}
}

const (
	equal       = firestorepb.StructuredQuery_FieldFilter_EQUAL
	in          = firestorepb.StructuredQuery_FieldFilter_IN
	above       = firestorepb.StructuredQuery_FieldFilter_GREATER_THAN
	has         = firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS
	hasAny      = firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS_ANY
	and         = firestorepb.StructuredQuery_CompositeFilter_AND
	or          = firestorepb.StructuredQuery_CompositeFilter_OR
	upwards     = firestorepb.StructuredQuery_ASCENDING
	downwards   = firestorepb.StructuredQuery_DESCENDING
	byName      = "__name__"
	registry    = "realtime_registry"
	ledger      = "realtime_registry_ledger"
	windows     = "rate_limit_counters"
	undeclared  = "c"
	noIndexText = "The query requires an index"
)

type filter = firestorepb.StructuredQuery_Filter

func where(path string, op firestorepb.StructuredQuery_FieldFilter_Operator, v *firestorepb.Value) *filter {
	return &filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: field(path), Op: op, Value: v},
	}}
}

func join(op firestorepb.StructuredQuery_CompositeFilter_Operator, filters ...*filter) *filter {
	return &filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{
		CompositeFilter: &firestorepb.StructuredQuery_CompositeFilter{Op: op, Filters: filters},
	}}
}

func query(collection string, f *filter, orders ...*firestorepb.StructuredQuery_Order) *firestorepb.StructuredQuery {
	q := from(collection)
	q.Where, q.OrderBy = f, orders
	return q
}

func order(path string, way firestorepb.StructuredQuery_Direction) *firestorepb.StructuredQuery_Order {
	return &firestorepb.StructuredQuery_Order{Field: field(path), Direction: way}
}

func numbers(n int) *firestorepb.Value {
	var all []*firestorepb.Value
	for i := range n {
		all = append(all, number(i))
	}
	return array(all...)
}

func TestThirtyDisjunctionsAreTheMostOnceWrittenOut(t *testing.T) {
	d := open(t)
	of := func(n int) *filter { return where("a", in, numbers(n)) }
	for _, test := range []struct {
		name string
		f    *filter
		ok   bool
	}{
		{"30 values", of(30), true},
		{"31 values", of(31), false},
		{"an OR adds up", join(or, of(15), where("b", equal, number(1)), where("c", hasAny, numbers(14))), true},
		{"an OR adds up", join(or, of(15), where("b", equal, number(1)), where("c", hasAny, numbers(15))), false},
		{"an AND multiplies", join(and, of(5), where("b", in, numbers(6))), true},
		{"an AND multiplies", join(and, of(4), where("b", in, numbers(8))), false},
		{"an AND of ORs", join(and, join(or, of(4), of(4)), where("b", in, numbers(4))), false},
	} {
		err := d.run(query(undeclared, test.f))
		if test.ok {
			require.NoError(t, err, test.name)
			continue
		}
		requireRefused(t, err, codes.InvalidArgument, "Too many disjunctions after normalization")
	}
}

func TestAQueryNeedsAnIndexThatIsDeclaredOrAutomatic(t *testing.T) {
	d := open(t)
	tenant := where("tenant_id", equal, text("t"))
	path := where("path", has, text("t"))
	for _, test := range []struct {
		name string
		q    *firestorepb.StructuredQuery
		ok   bool
	}{
		{"everything, by name", query(registry, nil, order(byName, upwards)), true},
		{"a field that is declared", query(registry, tenant), true},
		{"with a prefix", query("eu_"+registry, tenant), true},
		{"merged by OR, by name", query(registry, join(or, tenant, path), order(byName, upwards)), true},
		{"merged by AND", query(registry, join(and, tenant, path)), true},
		{"a field that is exempt", query(registry, where("history", has, text("t"))), false},
		{"with a prefix", query("eu_"+registry, where("history", has, text("t"))), false},
		{"below a field that is exempt", query(ledger, where("rewriting.state", equal, text("done"))), false},
		{"one that is exempt among others", query(registry, join(or, tenant, where("ledger", equal, number(1)))), false},
		{"an inequality and its order", query(ledger, where("seq", above, number(1)), order("seq", upwards)), true},
		{"an inequality alone", query(ledger, where("pending", above, number(1))), true},
		{"the other direction", query(ledger, nil, order("seq", downwards)), false},
		{"two fields", query(ledger, where("pending", above, number(1)), order("pending", upwards), order("seq", upwards)), false},
		{"nothing but exempt fields", query(windows, where("count", above, number(1))), false},
		{"automatic, upwards", query(undeclared, nil, order("a", upwards)), true},
		{"automatic, downwards", query(undeclared, where("a", above, number(1)), order("a", downwards)), true},
		{"automatic, two fields", query(undeclared, where("a", equal, number(1)), order("b", upwards)), false},
	} {
		err := d.run(test.q)
		if test.ok {
			require.NoError(t, err, test.name)
			continue
		}
		require.Error(t, err, test.name)
		requireRefused(t, err, codes.FailedPrecondition, noIndexText)
	}
}
