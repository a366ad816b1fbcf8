package export_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/export"
)

// Whatever a directory of parts holds, an export that goes on from it has every document
// once, or says what is wrong with the directory. How far a part has come is known from
// the manifest alone, so one that says that documents were read is not tried; nor is one
// that says of some names that no document has them, or is of a time that memory does not
// keep.
func FuzzManifests(f *testing.F) {
	const origin = `{"origin":{"project":"p","database":"","what":"owners"},"read_time":"0001-01-01T00:00:00Z",`
	for _, parts := range []string{
		`"parts":[{"number":0,"after":"","up_to":"","position":"","bytes":0,"documents":0,"done":false}],"next":1}`,
		`"parts":[{"number":0,"after":"","up_to":"thread__b","position":"","bytes":0},{"number":1,"after":"thread__b","up_to":"","position":"thread__b","bytes":0}],"next":2}`,
		`"parts":[],"next":0}`, `"parts":null,"next":1}`, `"parts":[null],"next":1}`, `"next":1}`,
		`"parts":[{"number":0,"after":"thread__b","up_to":""}],"next":1}`,
		`"parts":[{"number":0,"after":"","up_to":"thread__a"},{"number":1,"after":"thread__b","up_to":""}],"next":2}`,
		`"parts":[{"number":0,"after":"","up_to":"thread__b"},{"number":0,"after":"thread__b","up_to":""}],"next":2}`,
		`"parts":[{"number":0,"after":"","up_to":"","bytes":-1}],"next":1}`,
		`"parts":[{"number":5,"after":"","up_to":"","position":"thread__z"}],"next":1}`,
	} {
		f.Add([]byte(origin + parts))
	}
	f.Add([]byte(`{`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, content []byte) {
		var said struct {
			ReadTime time.Time `json:"read_time"`
			Parts    []*struct {
				After, Position string
				UpTo            string `json:"up_to"`
				Documents       int64
			}
		}
		if json.Unmarshal(content, &said) == nil {
			upTo, whole := "", said.ReadTime.IsZero()
			for _, p := range said.Parts {
				if p != nil {
					whole = whole && p.Documents == 0 && p.After == upTo
					upTo = p.UpTo
				}
			}
			if !whole || upTo != "" {
				return
			}
		}
		store, want := filled(t, []string{"a", "b", "c"})
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), content, 0o600))
		o := options(dir)
		o.OwnTimes = true
		result, err := export.Run(t.Context(), store, o)
		if err == nil {
			require.Equal(t, want, text(t, result.Files))
		}
	})
}
