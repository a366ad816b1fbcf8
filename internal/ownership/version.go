package ownership

import (
	"cmp"
	"strings"
	"time"
)

// Version orders events: by time as an instant, then by source, then by id, the
// last two by bytes (design §4). Source and id together name an event.
type Version struct {
	Time   time.Time
	Source string
	ID     string
}

// Compare returns -1, 0 or +1.
func (v Version) Compare(w Version) int {
	return cmp.Or(v.Time.Compare(w.Time), strings.Compare(v.Source, w.Source), strings.Compare(v.ID, w.ID))
}

// SameEvent reports whether the two name the same event, whatever their times.
func (v Version) SameEvent(w Version) bool { return v.Source == w.Source && v.ID == w.ID }

// timeFormat is how versions' times are written: to the nanosecond, in UTC.
const timeFormat = time.RFC3339Nano
