package rules

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

// documentID is the field that stands for a document's name, by which every
// index is sorted last.
const documentID = "__name__"

// checkListen is checkQuery, and refuses a query that selects fields: "code =
// InvalidArgument desc = 'select' clauses are not supported for real-time
// queries." (googleapis/google-cloud-go#1320, googleapis/nodejs-firestore#1090).
func (f *Firestore) checkListen(m *firestorepb.ListenRequest) error {
	q := m.GetAddTarget().GetQuery().GetStructuredQuery()
	if q.GetSelect() != nil {
		return status.Error(codes.InvalidArgument, "'select' clauses are not supported for real-time queries.")
	}
	return f.checkQuery(q)
}

// checkQuery refuses more than 30 disjunctions, in the service's and the emulator's
// words, and queries that no index serves: "Firestore guarantees high query
// performance by using indexes for all queries"
// (https://firebase.google.com/docs/firestore/query-data/index-overview). The
// emulator needs no indexes.
func (f *Firestore) checkQuery(q *firestorepb.StructuredQuery) error {
	if q == nil {
		return nil
	}
	if n := disjunctions(q.GetWhere(), MaxDisjunctions); n > MaxDisjunctions {
		return status.Errorf(codes.InvalidArgument, "Too many disjunctions after normalization. Result had %d disjunctions which is more than the maximum of %d", n, MaxDisjunctions)
	}
	for _, from := range q.GetFrom() {
		for _, conditions := range conjunctions(q.GetWhere()) {
			if from.GetAllDescendants() && len(conditions)+len(q.GetOrderBy()) > 0 {
				return noIndex(from.GetCollectionId(), "a collection group")
			}
			if missing := f.indexes.missing(from.GetCollectionId(), conditions, orders(q)); missing != "" {
				return noIndex(from.GetCollectionId(), missing)
			}
		}
	}
	return nil
}

// noIndex begins like the service's message, which continues with an address of its
// console.
func noIndex(collection, what string) error {
	return status.Errorf(codes.FailedPrecondition, "The query requires an index. Collection %s has none for %s.", collection, what)
}

// orders returns what a query is sorted by, in the terms of indexes, including an
// order that follows from an inequality.
func orders(q *firestorepb.StructuredQuery) []indexField {
	var fields []indexField
	for _, o := range q.GetOrderBy() {
		m := ascending
		if o.GetDirection() == firestorepb.StructuredQuery_DESCENDING {
			m = descending
		}
		fields = append(fields, indexField{o.GetField().GetFieldPath(), m})
	}
	return fields
}

// missing returns the fields of a conjunction for which there is no index; nothing
// if an index serves it.
func (x *Indexes) missing(collection string, conditions []condition, sorted []indexField) string {
	var equal []indexField
	for _, c := range conditions {
		switch {
		case c.path == documentID:
		case c.op == opEqual:
			equal = append(equal, indexField{c.path, ascending})
		case c.op == opContains:
			equal = append(equal, indexField{c.path, contains})
		case !slices.ContainsFunc(sorted, func(f indexField) bool { return f.path == c.path }):
			sorted = append(sorted, indexField{c.path, ascending})
		}
	}
	sorted = withoutName(sorted)
	if len(sorted) == 0 { // single-field indexes are merged
		for _, f := range equal {
			if !x.equalTo(collection, f) {
				return describe([]indexField{f})
			}
		}
		return ""
	}
	if len(sorted) == 1 && len(equal) == 0 && slices.Contains(x.modes(collection, sorted[0].path), sorted[0].mode) {
		return ""
	}
	if x.composed(collection, equal, sorted) {
		return ""
	}
	return describe(append(equal, sorted...))
}

// withoutName removes the document's name from the end of an order if it has the
// direction of the field before it (or is alone, and ascending), as in every index.
func withoutName(sorted []indexField) []indexField {
	last := len(sorted) - 1
	if last < 0 || sorted[last].path != documentID {
		return sorted
	}
	way := ascending
	if last > 0 {
		way = sorted[last-1].mode
	}
	if sorted[last].mode != way {
		return sorted
	}
	return sorted[:last]
}

// equalTo reports whether a single-field index serves an equality, which takes
// either direction.
func (x *Indexes) equalTo(collection string, f indexField) bool {
	return slices.ContainsFunc(x.modes(collection, f.path), func(m mode) bool {
		return equality(indexField{f.path, m}) == f
	})
}

// composed reports whether composite indexes serve a query: each has some of the
// equal fields first and then all the sorted ones, and together they have all
// (https://firebase.google.com/docs/firestore/query-data/index-overview#taking_advantage_of_index_merging).
func (x *Indexes) composed(collection string, equal, sorted []indexField) bool {
	served := map[indexField]bool{}
	found := false
	for _, c := range x.composites {
		if c.collection != x.declared(collection) || len(c.fields) < len(sorted) {
			continue
		}
		first, rest := c.fields[:len(c.fields)-len(sorted)], c.fields[len(c.fields)-len(sorted):]
		if !slices.Equal(rest, sorted) {
			continue
		}
		if slices.ContainsFunc(first, func(f indexField) bool { return !slices.Contains(equal, equality(f)) }) {
			continue
		}
		found = true
		for _, f := range first {
			served[equality(f)] = true
		}
	}
	return found && !slices.ContainsFunc(equal, func(f indexField) bool { return !served[f] })
}

// equality is a field of an index as an equality needs it: the direction does not
// matter.
func equality(f indexField) indexField {
	if f.mode == descending {
		f.mode = ascending
	}
	return f
}

func describe(fields []indexField) string {
	text := ""
	for i, f := range fields {
		if i > 0 {
			text += ", "
		}
		text += f.path + " " + string(f.mode)
	}
	return text
}
