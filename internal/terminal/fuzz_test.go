package terminal_test

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// Whatever a stranger wrote, it stands on one line, acts on nothing, and is not taken
// for another text.
func FuzzQuote(f *testing.F) {
	for _, text := range []string{"plain", "a  b", " a", `"a"`, "\x1b[31m", "a\nb", "\u202egnp.exe", "\u200b", "\u0301a", "\ufe0f", "\xff", strings.Repeat("é", 200), "\u2028", "\u3164", "\U000e0041", `\x1b`} {
		f.Add(text, "other")
	}
	f.Add("a", `"a"`)
	f.Fuzz(func(t *testing.T, text, other string) {
		for _, shown := range []string{terminal.Quote(text), terminal.Line(text), terminal.Plain(text)} {
			require.True(t, utf8.ValidString(shown))
			for _, r := range shown {
				require.True(t, strconv.IsPrint(r) || r == '\n' && shown == terminal.Plain(text) || r == '\t' && shown == terminal.Plain(text), "%q in %q", r, shown)
			}
		}
		require.Equal(t, shownOnce(text, other), text == other, "%q and %q look alike", text, other)
	})
}

// shownOnce reports whether two short texts are shown alike. Of a long one the rest is
// not shown.
func shownOnce(a, b string) bool {
	if max(len(a), len(b)) > terminal.MaxBytes {
		return a == b
	}
	return terminal.Quote(a) == terminal.Quote(b)
}
