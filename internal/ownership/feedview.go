package ownership

import "time"

// FeedView is what a cursor knew at one moment.
type FeedView struct {
	Floor  time.Time // from where on entries may appear; zero if nothing was read yet
	ReadTo time.Time // up to here a read has told everything, except what was committed after it
	Hears  bool      // a listener tells of entries as they are committed

	told map[int64]int // numbers of told entries, by slice of time
}

// Span is a part of the feed: the entries whose At is From or later, and before
// Before. A zero Before has no end.
type Span struct{ From, Before time.Time }

// Told is the number of entries in a span that have been told. A read that began
// later finds as many, if nothing else was committed.
func (v FeedView) Told(s Span) (n int) {
	for i, told := range v.told {
		if s.has(i) {
			n += told
		}
	}
	return n
}

func (s Span) has(i int64) bool {
	return i >= slice(s.From) && (s.Before.IsZero() || i < slice(s.Before))
}

// Parts cuts a span with an end into at most n spans, of about equally many told
// entries.
func (v FeedView) Parts(s Span, n int) (parts []Span) {
	all := v.Told(s)
	from, told := s.From, 0
	for at := s.From; at.Before(s.Before) && len(parts) < n-1; at = at.Add(Slice) {
		told += v.told[slice(at)]
		if next := at.Add(Slice); told*n >= all*(len(parts)+1) && next.Before(s.Before) {
			parts = append(parts, Span{from, next})
			from = next
		}
	}
	return append(parts, Span{from, s.Before})
}
