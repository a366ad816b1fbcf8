package ownership

import (
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/excerpt"
)

// MaxDisplaced is how many displaced entries a document keeps for people to see,
// the first that were: displacing over and over does not push out what was true
// before (design §2).
const MaxDisplaced = 10

// displace records an entry that was acknowledged and no longer counts, since
// another one with a smaller content has taken its place.
func displace(displaced []Entry, e Entry) []Entry {
	if len(displaced) >= MaxDisplaced || slices.ContainsFunc(displaced, e.Equal) {
		return displaced
	}
	return append(slices.Clip(displaced), e)
}

// displacedBy returns what e, which is kept, has displaced, nil for nothing.
func displacedBy(displaced []Entry, e Entry) *Entry {
	for _, d := range slices.Backward(displaced) {
		if e.Type == Moved && d.Type == Moved && d.SameEvent(e.Version) || e.Type != Moved && d.Type != Moved {
			return &d
		}
	}
	return nil
}

// Says is what the entry says, for people: who of whom, and when.
func (e Entry) Says() string {
	at := e.Time.Format(timeFormat)
	switch e.Type {
	case Moved:
		return fmt.Sprintf("from %s to %s at %s", e.From, e.To, at)
	case Retracted:
		return fmt.Sprintf("retracted at %s", at)
	case Deleted:
		return fmt.Sprintf("deleted at %s", at)
	case Asserted:
		return fmt.Sprintf("set to %s at %s", e.Tenant, at)
	}
	return fmt.Sprintf("%s by %s at %s", e.Type, e.Tenant, at)
}

// twice is why a second content of a name is refused.
func twice(known, e Entry) string {
	return fmt.Sprintf("event %s of %s came twice with different content: it was %s, now it is %s; publish it under an id of its own",
		excerpt.Quote(e.ID), excerpt.Quote(e.Source), known.Says(), e.Says())
}
