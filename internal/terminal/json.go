package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// JSON returns an encoder of JSON that may as well be looked at: what Quote would
// escape is escaped as JSON has it, which programs read as the same text.
func JSON(w io.Writer) *json.Encoder {
	lines := json.NewEncoder(jsonWriter{w})
	lines.SetEscapeHTML(false)
	return lines
}

// jsonWriter takes whole values, as an Encoder writes them: outside of strings
// they have line ends, and nothing else that is not visible.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(p []byte) (int, error) {
	text := string(p)
	hidden := func(r rune) bool { return r != '\n' && !visible(r) }
	if strings.ContainsFunc(text, hidden) {
		var b strings.Builder
		for _, r := range text {
			if !hidden(r) {
				b.WriteRune(r)
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		text = b.String()
	}
	if _, err := io.WriteString(j.w, text); err != nil {
		return 0, err
	}
	return len(p), nil
}
