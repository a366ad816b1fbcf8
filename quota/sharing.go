package quota

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// How often the processes together write a window's document. Google plans with one
// sustained write a second to a document, and warns of contention above
// (https://firebase.google.com/docs/firestore/best-practices#updates_to_a_single_document).
const (
	sharedWrites = 3 // a second, for long
	sharedBurst  = 6 // at once; fewer in windows of less than six seconds
)

// The sizes of parts.
const (
	mostParts   = 128
	leastParts  = 8
	plenty      = 64 // units of a part, for which a window is parted without need
	unitsOfPart = 16 // unspent units of a window for each part that it gets
	leastOfPart = 2  // units more that a part must get, else they are reserved directly
	mostParted  = 8  // windows in a row that begin with parts; the next one begins without
)

// crowdOf returns how many processes may want units of the document at once.
func crowdOf(s limits.Sharing) int64 { return max(s.Processes, s.Crowd) }

// sharingAfter returns the Sharing of a window that follows one with s, before it
// is written, with limit units in all. Windows of long ago do not count.
func sharingAfter(s limits.Sharing, limit int64, longAgo bool) limits.Sharing {
	if longAgo || s.Processes <= 2 && s.Parts == 0 {
		return limits.Sharing{}
	}
	n := limits.Sharing{Crowd: max(s.Processes, s.Parts)}
	if s.Parts > 0 && s.Parted < mostParted {
		n.Parts, n.PartLimit = parts(limit)
		n.Parted = s.Parted + 1
	}
	return n
}

// parts returns how to divide a window with so many unspent units: a quarter of
// them is set aside, as for one block. It returns zeros if they are too few.
func parts(unspent int64) (number, limit int64) {
	number = min(mostParts, unspent/unitsOfPart)
	if number < leastParts {
		return 0, 0
	}
	return number, unspent / 4 / number
}

// writesAfter returns the Writes after one more, when so much of the window has passed.
// Those that the document could have taken, and did not, count too: all processes that
// meanwhile refused would make up for them at once, and wait in the document's queue.
func writesAfter(s limits.Sharing, passed time.Duration) int64 {
	return max(s.Writes, int64(sharedWrites*max(0, passed.Seconds()))) + 1
}

// untilWrite returns how long to wait until the document may be written once more, in a
// window of so many seconds of which so much has passed.
func untilWrite(s limits.Sharing, length int32, passed time.Duration) time.Duration {
	burst := min(sharedBurst, float64(length))
	missing := float64(s.Writes) + 1 - burst - sharedWrites*max(0, passed.Seconds())
	return max(0, time.Duration(missing/sharedWrites*float64(time.Second)))
}
