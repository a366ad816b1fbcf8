package envelope

import (
	"slices"
	"strings"
	"time"
)

// ArchiveSource is the source of the events that occur in archives only.
const ArchiveSource = "registry"

// Rules say what a message may be, beyond what is required of every event. They
// belong to the subscription that it came from.
type Rules struct {
	// Known are all types.
	Known []string
	// Types are those that the subscription carries. nil: every type.
	Types []string
	// Sources are, for each type, patterns of the sources that may send it; *
	// stands for any text. A type without patterns may come from every source. The
	// registry's own source, ArchiveSource, is accepted from archives only.
	Sources map[string][]string
	// NotAfter and NotBefore bound the event's time. They come from the time at
	// which the message was published, which no publisher can choose. A zero
	// NotBefore is no bound.
	NotAfter, NotBefore time.Time

	// Archived is true for a line of an archive, which may be from before a schema
	// was as strict as it is.
	Archived bool
}

// judge refuses what the rules do not allow. The order is that of the package
// comment.
func (r Rules) judge(e message, typ string, at time.Time) error {
	source := e.attributes["source"]
	switch {
	case !slices.Contains(r.Known, typ):
		return Refuse(UnknownType, "%stype: %s is not taken here", e.prefix, Shorten(typ))
	case r.Types != nil && !slices.Contains(r.Types, typ):
		return Refuse(UnknownType, "%stype: %s is not taken from this subscription, which carries %s", e.prefix, Shorten(typ), strings.Join(r.Types, ", "))
	case !r.Archived && source == ArchiveSource:
		return Refuse(ForeignSource, "%ssource: %q is the registry itself, which publishes nothing", e.prefix, source)
	case !r.maySend(source, typ):
		return Refuse(ForeignSource, "%ssource: %s may not send %s", e.prefix, Shorten(source), typ)
	case at.After(r.NotAfter):
		return Refuse(FromFuture, "%stime: %s is after %s", e.prefix, at.UTC().Format(time.RFC3339Nano), r.NotAfter.UTC().Format(time.RFC3339Nano))
	case at.Before(r.NotBefore):
		return Refuse(FromPast, "%stime: %s is before %s", e.prefix, at.UTC().Format(time.RFC3339Nano), r.NotBefore.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

func (r Rules) maySend(source, typ string) bool {
	patterns := r.Sources[typ]
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, source) })
}

// matches reports whether the text matches the pattern, in which * stands for any
// text, including none.
func matches(pattern, text string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	for { // the text between two stars is matched as early as possible
		middle, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, rest)
		}
		_, after, found := strings.Cut(text, middle)
		if !found {
			return false
		}
		text, rest = after, behind
	}
}
