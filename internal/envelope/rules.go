package envelope

import (
	"slices"
	"strings"
	"time"
)

// ArchiveSource is the source of the events that occur in archives only.
const ArchiveSource = "registry"

// Rules say who may say what: what a message may be, beside what is asked of
// every event. They are those of the subscription that it came from.
type Rules struct {
	// Known are the types that there are.
	Known []string
	// Types are those that the subscription carries. nil: every one.
	Types []string
	// Sources are patterns of those that may send a type; * stands for any text.
	// A type without any may come from everybody. The registry's own source,
	// ArchiveSource, is taken from archives only.
	Sources map[string][]string
	// NotAfter and NotBefore bound the event's time. They come from the time at
	// which the message was published, which no publisher can choose. A zero
	// NotBefore is no bound.
	NotAfter, NotBefore time.Time

	// Archived is set for a line of an archive, which may be from before a schema
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

// matches reports whether the text is as the pattern, in which * stands for any
// text, none too.
func matches(pattern, text string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	for { // what stands between two stars is found as early as it can be
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
