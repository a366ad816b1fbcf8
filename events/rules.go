package events

import (
	"slices"
	"strings"
	"time"
)

// Rules say who may say what: what a message may be, beside what is asked of
// every event. They are those of the subscription that it came from.
type Rules struct {
	// Types that it carries. nil: every one that may be published.
	Types []Type
	// Sources are patterns of those that may send a type; * stands for any text.
	// A type without any may come from everybody. The registry's own source,
	// ArchiveSource, is never taken.
	Sources map[Type][]string
	// NotAfter and NotBefore bound the event's time. They come from the time at
	// which the message was published, which no publisher can choose. A zero
	// NotBefore is no bound.
	NotAfter, NotBefore time.Time

	archive bool // a line of an archive: any type and source
}

// judge refuses what the rules do not allow. The order is that of the package
// comment.
func (r Rules) judge(e envelope, typ Type, at time.Time) error {
	source := e.attributes["source"]
	switch {
	case !r.known(typ):
		return refuse(UnknownType, "%stype: %s is not taken here", e.prefix, shorten(string(typ)))
	case r.Types != nil && !slices.Contains(r.Types, typ):
		return refuse(UnknownType, "%stype: %s is not taken from this subscription, which carries %s", e.prefix, shorten(string(typ)), joined(r.Types))
	case !r.archive && source == ArchiveSource:
		return refuse(ForeignSource, "%ssource: %q is the registry itself, which publishes nothing", e.prefix, source)
	case !r.maySend(source, typ):
		return refuse(ForeignSource, "%ssource: %s may not send %s", e.prefix, shorten(source), typ)
	case at.After(r.NotAfter):
		return refuse(FromFuture, "%stime: %s is after %s", e.prefix, formatTime(at), formatTime(r.NotAfter))
	case at.Before(r.NotBefore):
		return refuse(FromPast, "%stime: %s is before %s", e.prefix, formatTime(at), formatTime(r.NotBefore))
	}
	return nil
}

func (r Rules) known(typ Type) bool {
	if r.archive {
		return archivedTypes[typ]
	}
	return publishedTypes[typ]
}

func (r Rules) maySend(source string, typ Type) bool {
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

func joined(types []Type) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}
