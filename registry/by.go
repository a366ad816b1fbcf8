package registry

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
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
		return fmt.Errorf("%w: who did it is %d bytes: must be 1 to %d", ErrInvalid, len(by), MaxByBytes)
	case !utf8.ValidString(by) || strings.ContainsFunc(by, unprintable):
		return fmt.Errorf("%w: who did it is %q: must be printable", ErrInvalid, by)
	}
	return nil
}
