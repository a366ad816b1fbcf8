package docdb

import "time"

// Query asks for documents of a collection.
type Query struct {
	Collection string
	// Any are filters of which a document must match at least one, unless there
	// are none. A document that matches several is found once.
	Any []Filter
	// All are filters of which a document must match each, too.
	All []Filter
	// OrderBy is the field by which documents are sorted, in growing order;
	// those without it are not found. "": by name, byte for byte.
	OrderBy string
	// After is the name behind which to begin, UpTo that of the last document;
	// "": from the first, to the last. They take the order by name.
	After, UpTo string
	Limit       int // 0: none
	// Select names the fields that are wanted of what is found. nil: all.
	Select []string
	// At is the time as of which to read, of a read that has been answered, and
	// not long ago. Zero: not before the call.
	At time.Time
}

// Filter is a condition of a field of a document. Fields of another type than
// Value's do not match.
type Filter struct {
	Field string
	Op    Op
	Value *Value
}

// Op compares a field with a value. Greater, AtLeast and Less are of the field by
// which the query is ordered.
type Op int

// The comparisons.
const (
	Equal Op = iota
	Greater
	AtLeast
	Less
	Contains // the field is an array that has the value
	In       // the value is an array that has the field
)

// Target is what a Listen is about: what a query finds, or one document.
type Target struct {
	Query    Query  // as of now, without After and Select
	Document string // its name; "": the query
}

// An Event is one report of a listener.
type Event struct {
	Target int // by its place; for Document and Gone
	// Document is as it is now. Gone is the name of one that is not there, or is
	// not what the query finds, any more.
	Document *Document
	Gone     string
	// Whole says that everything committed up to some moment after the call has
	// been reported, for all targets. Such an event has nothing else. Every change
	// is followed by one, in time.
	Whole bool
}
