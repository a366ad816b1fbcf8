package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// A file of any bytes is read to its end or to an error that names it, by lines that
// are no longer than they may be; twice, with the same digest.
func FuzzFiles(f *testing.F) {
	whole := strings.Join(framed(f, 3), "")
	for _, text := range []string{whole, whole[:len(whole)/2], whole + whole, strings.Join(framed(f, 0), ""), "one\n\n  two \r\n", "\ufeffone\n\ufeff\n", "", "\x1f\x8b", "\x1f\x8bx"} {
		f.Add([]byte(text), false)
		f.Add(zipped(text), true)
	}
	f.Add(zipped(whole)[:40], true)
	f.Fuzz(func(t *testing.T, content []byte, gz bool) {
		name := filepath.Join(t.TempDir(), map[bool]string{false: "a.ndjson", true: "a.ndjson.gz"}[gz])
		require.NoError(t, os.WriteFile(name, content, 0o600))
		digests := map[string]bool{}
		for range 2 {
			r, err := archive.Open([]string{name}, nil)
			require.NoError(t, err)
			number := 0
			for line, err := range r.Lines(t.Context()) {
				if err != nil {
					require.ErrorContains(t, err, name)
					break
				}
				require.Greater(t, line.Number, number)
				number = line.Number
				require.LessOrEqual(t, len(line.Text), envelope.MaxMessageBytes)
				require.Equal(t, line.Refusal == nil, len(line.Text) > 0)
				require.False(t, bytes.ContainsRune(line.Text, '\n'))
			}
			digests[r.Digest()] = true
		}
		require.Len(t, digests, 1)
	})
}

// Whatever is done to an archive that was exported, it is noticed, or it has the same
// lines.
func FuzzArchivesThatWereChanged(f *testing.F) {
	whole := strings.Join(framed(f, 3), "")
	f.Add(uint(10), uint(4), "x")
	f.Add(uint(len(whole)/2), uint(len(whole)), "")
	f.Add(uint(0), uint(0), "\n")
	f.Add(uint(strings.Index(whole, "\n")+1), uint(0), framed(f, 3)[0])
	lines, _, err := walk(f, whole)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, at, length uint, put string) {
		from := int(at % uint(len(whole)+1))
		to := from + int(length%uint(len(whole)-from+1))
		changed := whole[:from] + put + whole[to:]
		if strings.Contains(put, "registry.archive.") || from == 0 && to == len(whole) {
			return // another archive may be whole
		}
		n, began, err := walk(t, changed)
		if err != nil || slices.Contains(began, nil) {
			return // noticed, or lines are there that do not say that they were exported
		}
		require.Equal(t, lines, n, "%q", changed)
	})
}
