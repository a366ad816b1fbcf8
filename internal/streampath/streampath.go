// Package streampath finds which thread or canvas a request streams, in the path
// that a proxy has received and will pass on (design §9).
//
// What is checked must be what is served. Proxies and transports clean and decode
// paths, each in its own way: "/sse/chat/a%2Fb" is one id to one and two segments to
// another, "/sse/chat/../chat/b" is another thread to one that resolves it. So paths
// of which two readers could differ are no paths of streams: those with an encoded
// slash, backslash, dot or percent sign, with a backslash, a dot segment or an empty
// one. Of the others each segment is compared as it was sent, and the id decoded,
// once.
package streampath

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Defaults are the patterns of the streaming services.
var Defaults = []string{"/sse/chat/{thread_id}", "/ws/chat/{thread_id}", "/sse/canvas/{canvas_id}"}

// pattern is one kind of path.
type pattern struct {
	segments []string
	id       int // which of them is the id
	kind     registry.Kind
}

// Patterns are the paths that are streams.
type Patterns []pattern

// placeholders are the segments that stand for an id.
var placeholders = map[string]registry.Kind{"{thread_id}": registry.Thread, "{canvas_id}": registry.Canvas}

// literal is any other segment of a pattern: what no reader of a path changes.
var literal = regexp.MustCompile(`^[A-Za-z0-9_~:@+=-][A-Za-z0-9._~:@+=-]*$`)

// Parse reads patterns such as /sse/chat/{thread_id}: an absolute path, of which one
// segment is {thread_id} or {canvas_id}. No path may match two. The error says
// which pattern is wrong, and what is wanted.
func Parse(texts []string) (Patterns, error) {
	var all Patterns
	for i, text := range texts {
		p, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("pattern %.200q: %w", text, err)
		}
		for j, other := range all {
			if p.overlaps(other) {
				return nil, fmt.Errorf("patterns %q and %q: a path could match both", texts[j], texts[i])
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("want at least one pattern, such as " + Defaults[0])
	}
	return all, nil
}

func parse(text string) (pattern, error) {
	segments := strings.Split(text, "/")
	p := pattern{segments: segments[1:], id: -1}
	if segments[0] != "" || len(segments) < 2 {
		return p, errors.New("want an absolute path, such as " + Defaults[0])
	}
	for i, segment := range p.segments {
		kind, ok := placeholders[segment]
		switch {
		case !ok && !literal.MatchString(segment):
			return p, fmt.Errorf("segment %q: want {thread_id}, {canvas_id}, or letters, digits and _ ~ : @ + = - . (no dot first)", segment)
		case ok && p.id >= 0:
			return p, errors.New("want one id, {thread_id} or {canvas_id}, once")
		case ok:
			p.id, p.kind = i, kind
		}
	}
	if p.id < 0 {
		return p, errors.New("want a segment {thread_id} or {canvas_id}")
	}
	return p, nil
}

func (p pattern) overlaps(other pattern) bool {
	if len(p.segments) != len(other.segments) {
		return false
	}
	for i := range p.segments {
		if i != p.id && i != other.id && p.segments[i] != other.segments[i] {
			return false
		}
	}
	return true
}

// Find returns what a request with this target (path and query, as it was sent)
// streams. The error says why it is no stream: it is a function of the target alone.
func (all Patterns) Find(target string) (registry.Resource, error) {
	path, query, _ := strings.Cut(target, "?")
	// A target has no fragment (RFC 9112, section 3.2): what reads "#" as the beginning of
	// one may refuse the whole, or see another query.
	if strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }) {
		return registry.Resource{}, errors.New("the query has characters that must be encoded")
	}
	if err := plain(path); err != nil {
		return registry.Resource{}, err
	}
	segments := strings.Split(path, "/")[1:]
	for _, p := range all {
		if resource, ok := p.match(segments); ok {
			return resource, resource.Validate()
		}
	}
	return registry.Resource{}, errors.New("the path matches no pattern of a stream")
}

func (p pattern) match(path []string) (registry.Resource, bool) {
	if len(path) != len(p.segments) {
		return registry.Resource{}, false
	}
	for i, segment := range p.segments {
		if i != p.id && segment != path[i] {
			return registry.Resource{}, false
		}
	}
	id, err := url.PathUnescape(path[p.id])
	return registry.Resource{Kind: p.kind, ID: id}, err == nil
}

// plain reports, by an error, that readers could differ about a path.
func plain(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("the path is not absolute")
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f:
			return errors.New("the path has characters that must be encoded")
		case c == '\\' || c == '#':
			return fmt.Errorf("the path has the character %c", c)
		case c == '%':
			if err := plainEscape(path[i:]); err != nil {
				return err
			}
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		switch segment {
		case "":
			return errors.New("the path has an empty segment")
		case ".", "..":
			return errors.New("the path has a dot segment")
		}
	}
	return nil
}

// plainEscape looks at the escape that s begins with.
func plainEscape(s string) error {
	c, err := url.PathUnescape(s[:min(3, len(s))])
	if err != nil {
		return errors.New("the path has a percent sign that encodes nothing")
	}
	if strings.ContainsAny(c, `/\.%`) {
		return fmt.Errorf("the path has an encoded %s", c)
	}
	return nil
}
