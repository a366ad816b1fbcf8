package terminal_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

func TestHarmlessTextIsShownAsItIs(t *testing.T) {
	for _, text := range []string{
		"", "t_acme", "//nexus/example", "thread__th_1", "Zoë's größte Fläche", "移動", `a "word" in it`, `C:\x`,
		"created by t_a; moved to t_b", "ünïcode",
	} {
		require.Equal(t, text, terminal.Quote(text))
	}
}

func TestTextThatActsOnATerminalIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b]0;title\a\x1b[31mred":  `"\x1b]0;title\a\x1b[31mred"`,
		"line1\nFORGED ROW":          `"line1\nFORGED ROW"`,
		"bad\rOVERWRITTEN":           `"bad\rOVERWRITTEN"`,
		"a\tb\vc\fd\be\x7f\x00":      `"a\tb\vc\fd\be\x7f\x00"`,
		"c1\u009b31m":                `"c1\u009b31m"`,
		"t_\u202egnorw\u202c":        `"t_\u202egnorw\u202c"`,
		"\u2066isolated\u2069":       `"\u2066isolated\u2069"`,
		"zero\u200bwidth\ufeff":      `"zero\u200bwidth\ufeff"`,
		"soft\u00adhyphen":           `"soft\u00adhyphen"`,
		"no\u00a0break":              `"no\u00a0break"`,
		"line\u2028separator\u2029":  `"line\u2028separator\u2029"`,
		"joined\u034fgrapheme":       `"joined\u034fgrapheme"`,
		"filler\u3164\u115f":         `"filler\u3164\u115f"`,
		"variation\ufe0f":            `"variation\ufe0f"`,
		"braille\u2800":              `"braille\u2800"`,
		"tag\U000e0041":              `"tag\U000e0041"`,
		"private\ue000":              `"private\ue000"`,
		"broken\xff\xc3":             `"broken\xff\xc3"`,
		`"quoted"`:                   `"\"quoted\""`,
		"two  columns":               `"two  columns"`,
		" leading":                   `" leading"`,
		"trailing ":                  `"trailing "`,
		"\u0301joins what is before": "\"\u0301joins what is before\"",
		"\x1b\\ and \"":              `"\x1b\\ and \""`,
	} {
		require.Equal(t, want, terminal.Quote(text), "%+q", text)
	}
}

func TestLongTextIsShortenedWithItsLength(t *testing.T) {
	long := strings.Repeat("a", terminal.MaxBytes)
	require.Equal(t, long, terminal.Quote(long))
	require.Equal(t, `"`+long+`"… (257 bytes)`, terminal.Quote(long+"b"))
	require.NotContains(t, terminal.Quote(strings.Repeat("ä", terminal.MaxBytes)+"x"), `\x`, "no character is cut in two")
	require.NotContains(t, terminal.Quote("x"+strings.Repeat("移", terminal.MaxBytes)), `\x`)
}

// Whatever the text is, what is shown is one line of visible characters, and no
// two texts that are shown whole look the same.
func TestWhateverItIsItStaysInItsPlace(t *testing.T) {
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(),
			rapid.StringOfN(rapid.RuneFrom(nil, unicode.Cf, unicode.Cc, unicode.Zs, unicode.Mn, unicode.Other_Default_Ignorable_Code_Point), 0, 30, -1),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.StringMatching(`["\\ a\x1bnux0]{0,8}`),
		).Draw(t, "text")
		shown := terminal.Quote(text)
		require.True(t, utf8.ValidString(shown))
		for _, r := range shown {
			require.True(t, strconv.IsPrint(r) && !unicode.In(r, unicode.Cf, unicode.Cc), "%U in %q", r, shown)
		}
		require.Less(t, len(shown), 10*terminal.MaxBytes+40)
		if len(text) > terminal.MaxBytes {
			return
		}
		other, ok := seen[shown]
		require.True(t, !ok || other == text, "%+q and %+q are both shown as %s", text, other, shown)
		seen[shown] = text
	})
}

func TestAMessageKeepsItsLinesAndNothingElse(t *testing.T) {
	require.Equal(t, "two faults\n  one\n\tother\n", terminal.Plain("two faults\n  one\n\tother\n"))
	require.Equal(t, "a\\x1b[2K\nb\\u202e\t\\r\\xff", terminal.Plain("a\x1b[2K\nb\u202e\t\r\xff"))
	require.Equal(t, `a "b\n" \`, terminal.Plain(`a "b\n" \`), "what is quoted already is not quoted again")
}

func TestAMessageOfOneLineHasOneLine(t *testing.T) {
	require.Equal(t, `document "x": a\nFORGED\tb\r\x1b[2K "c"`, terminal.Line("document \"x\": a\nFORGED\tb\r\x1b[2K \"c\""))
	require.Equal(t, "größte Fläche", terminal.Line("größte Fläche"))
}

func TestNoCellForgesARowOrAColumn(t *testing.T) {
	var out bytes.Buffer
	table := terminal.NewTable(&out, "A", "B", "C")
	table.Row("1", "x\n9  forged  row", "")
	table.Row("2", "y\tz", "end")
	require.NoError(t, table.Flush())
	require.Equal(t, `A  B                    C
1  "x\n9  forged  row"  -
2  "y\tz"               end
`, out.String())
}

func TestJSONHidesNothingAndMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("<&\u2028\U000e0041"), unicode.Cf, unicode.Cc, unicode.Zs))).Draw(t, "text")
		var out bytes.Buffer
		encoder := terminal.JSON(&out)
		encoder.SetIndent("", " ")
		require.NoError(t, encoder.Encode(map[string]string{text: text}))
		for _, r := range out.String() {
			require.True(t, r == '\n' || strconv.IsPrint(r), "%U in %q", r, out.String())
		}
		var back map[string]string
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		require.Equal(t, map[string]string{text: text}, back)
	})
}
