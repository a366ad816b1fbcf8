// Package terminal prints text of strangers where people read it: ids, sources,
// tenants and details that came with messages and documents. Such a text must
// not move the cursor, forge a row or a column, hide, or turn around what stands
// beside it.
//
// Quote is the one rule. Table prints rows of cells by it, Line and Plain whole
// messages.
// What programs read (--json, exports, logs) is encoded by its own rules and
// needs neither.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBytes is how much Quote shows of a text.
const MaxBytes = 256

// Quote returns a text that stands on one line of a terminal and takes one
// column of a table. A text that is harmless and short is returned as it is. Any
// other is quoted as in Go, with escapes in place of every character that is not
// to be seen as itself: control characters, line ends, formatting characters
// (bidirectional and zero-width ones are among them), spaces other than the
// ASCII one, and bytes that are not UTF-8. Of a text longer than MaxBytes the
// beginning is shown, with the length of the whole.
//
// A text that begins with a quotation mark is quoted, so that no text looks like
// another one quoted; so is one with spaces at an end or side by side, which look
// like columns, and one that begins with a combining mark, which would join what
// stands before it.
func Quote(s string) string {
	if len(s) > MaxBytes {
		end := MaxBytes
		for end > MaxBytes-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		return fmt.Sprintf("%s… (%d bytes)", quoted(s[:end]), len(s))
	}
	if harmless(s) {
		return s
	}
	return quoted(s)
}

// Plain returns a message of several lines without what would act on the
// terminal: escapes stand in place of all that Quote escapes, except line ends
// and tabs. Foreign text within it is to be quoted where it is put in: a line end
// cannot be told from one of ours.
func Plain(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !visible(r) && r != '\n' && r != '\t' }) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		for i, part := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			escape(&b, part)
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Line returns a message of one line as Plain does, line ends and tabs escaped
// too: what a stranger wrote in it does not begin another line.
func Line(s string) string {
	var b strings.Builder
	escape(&b, s)
	return b.String()
}

func harmless(s string) bool {
	if !utf8.ValidString(s) || strings.HasPrefix(s, `"`) || strings.Contains(s, "  ") || s != strings.Trim(s, " ") {
		return false
	}
	first, _ := utf8.DecodeRuneInString(s)
	return !unicode.IsMark(first) && !strings.ContainsFunc(s, func(r rune) bool { return !visible(r) })
}

// visible reports whether a character is seen as itself. strconv.IsPrint takes
// letters, marks, numbers, punctuation, symbols and the ASCII space; some of
// these leave no trace all the same (Unicode, Default_Ignorable_Code_Point): the
// fillers of Hangul, joiners that are marks, variation selectors; and so does the
// empty pattern of Braille, which is taken for a symbol.
func visible(r rune) bool {
	return strconv.IsPrint(r) && r != '\u2800' && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, part := range strings.Split(s, `"`) {
		if i > 0 {
			b.WriteString(`\"`)
		}
		escape(&b, strings.ReplaceAll(part, `\`, `\\`))
	}
	b.WriteByte('"')
	return b.String()
}

// escape writes escapes, as Go has them, in place of what is not visible.
func escape(b *strings.Builder, s string) {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(b, `\x%02x`, s[0])
		case visible(r):
			b.WriteRune(r)
		case strconv.IsPrint(r):
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			escaped := strconv.QuoteRune(r)
			b.WriteString(escaped[1 : len(escaped)-1])
		}
		s = s[size:]
	}
}
