package ownership

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/registry"
)

// MaxByBytes bounds the name of who did something.
const MaxByBytes = 256

// ValidateBy checks the name of who did something, which records keep and people
// read: 1 to MaxByBytes bytes of letters, marks, digits, punctuation, symbols and
// ASCII spaces. The error wraps ErrInvalid.
func ValidateBy(by string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case by == "" || len(by) > MaxByBytes:
		return fmt.Errorf("%w: who did it is %d bytes: must be 1 to %d", registry.ErrInvalid, len(by), MaxByBytes)
	case !utf8.ValidString(by) || strings.ContainsFunc(by, unprintable):
		return fmt.Errorf("%w: who did it is %q: must be printable", registry.ErrInvalid, by)
	}
	return nil
}

// MaxNoteBytes bounds what is said about why something was done.
const MaxNoteBytes = 512

// ValidateNote checks what is said about why something was done: at most
// MaxNoteBytes bytes of printable text, as ValidateBy has it; none is fine. The
// error wraps ErrInvalid.
func ValidateNote(note string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case len(note) > MaxNoteBytes:
		return fmt.Errorf("%w: a note is %d bytes: must be at most %d", registry.ErrInvalid, len(note), MaxNoteBytes)
	case !utf8.ValidString(note) || strings.ContainsFunc(note, unprintable):
		return fmt.Errorf("%w: a note is %q: must be printable", registry.ErrInvalid, note)
	}
	return nil
}
