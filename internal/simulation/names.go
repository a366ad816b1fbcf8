package simulation

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// names reports whether a text is in what is stored, compressed or not. Names of fields
// are ours.
func names(v *docdb.Value, text string) bool {
	in := func(v *docdb.Value) bool { return names(v, text) }
	switch {
	case v.GetMapValue() != nil:
		for _, field := range v.GetMapValue().GetFields() {
			if in(field) {
				return true
			}
		}
		return false
	case v.GetArrayValue() != nil:
		return slices.ContainsFunc(v.GetArrayValue().GetValues(), in)
	case v.GetBytesValue() != nil:
		r, err := gzip.NewReader(bytes.NewReader(v.GetBytesValue()))
		if err != nil {
			return bytes.Contains(v.GetBytesValue(), []byte(text))
		}
		plain, err := io.ReadAll(r)
		return err != nil || bytes.Contains(plain, []byte(text))
	}
	return strings.Contains(v.GetStringValue(), text)
}
