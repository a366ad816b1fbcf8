package archive_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

var origin = archive.Origin{Project: "staging", Database: "(default)", Prefix: "x_", Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}

// framed is an exported archive with n events, by lines.
func framed(t require.TestingT, n int) []string {
	var b bytes.Buffer
	w, err := archive.Create("-", &b)
	require.NoError(t, err)
	require.NoError(t, w.Begin(origin))
	for i := range n {
		require.NoError(t, w.Write(events.Event{ID: strings.Repeat("i", i+1), Source: "s", Time: origin.Time, Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "x"}}))
	}
	require.NoError(t, w.End(origin.Time))
	require.NoError(t, w.Close())
	return strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// walk reads a text as standard input: how many lines, the origins, and the error.
func walk(t require.TestingT, text string) (lines int, began []*archive.Origin, err error) {
	r, err := archive.Open([]string{"-"}, strings.NewReader(text))
	require.NoError(t, err)
	r.Began = func(_ string, _ int, o *archive.Origin) { began = append(began, o) }
	for _, err := range r.Lines(context.Background()) {
		if err != nil {
			return lines, began, err
		}
		lines++
	}
	return lines, began, nil
}

func TestAnExportedArchiveTellsItsOriginAndThatItIsWhole(t *testing.T) {
	for _, n := range []int{0, 1, 5} {
		text := strings.Join(framed(t, n), "")
		lines, began, err := walk(t, text)
		require.NoError(t, err)
		require.Equal(t, n, lines, "its first and its last line are none of its events")
		require.Equal(t, []*archive.Origin{&origin}, began)

		_, _, err = walk(t, strings.ReplaceAll(text, "\n", "\r\n\n"))
		require.NoError(t, err, "line ends and blank lines are nobody's fault")
		lines, began, err = walk(t, text+"\n"+text+"\n{}\n"+text)
		require.NoError(t, err, "archives may stand one behind the other")
		require.Equal(t, 3*n+1, lines)
		require.Equal(t, []*archive.Origin{&origin, &origin, nil, &origin}, began, "and lines that are of none are told")
	}
}

func TestAFileWithoutAnOriginIsReadAndToldOnce(t *testing.T) {
	lines, began, err := walk(t, "{}\n{}\n")
	require.NoError(t, err)
	require.Equal(t, 2, lines)
	require.Equal(t, []*archive.Origin{nil}, began)
}

// Whatever is cut off, left out, doubled, exchanged or changed by a byte, is found.
func TestAnArchiveThatWasCutOrChangedIsKnown(t *testing.T) {
	whole := framed(t, 8)
	rapid.Check(t, func(t *rapid.T) {
		lines := append([]string(nil), whole...)
		i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		switch rapid.IntRange(0, 4).Draw(t, "fault") {
		case 0:
			lines = lines[:max(1, i)]
		case 1:
			lines = lines[max(1, i):]
		case 2:
			lines = append(lines[:i], lines[i+1:]...)
		case 3:
			lines = append(lines[:i+1], lines[i:]...)
		case 4:
			at := strings.Index(lines[i], `"data":{"`) + len(`"data":{"`)
			at = rapid.IntRange(at, len(lines[i])-4).Draw(t, "byte")
			lines[i] = lines[i][:at] + "~" + lines[i][at+1:]
		}
		_, _, err := walk(t, strings.Join(lines, ""))
		require.ErrorContains(t, err, "archive")
	})
}

func TestADigestIsOfEverythingThatWasRead(t *testing.T) {
	long := strings.Repeat("x", envelope.MaxMessageBytes+100)
	digests := func(files ...[]byte) (all []string) {
		var names []string
		for i, content := range files {
			names = append(names, file(t, string(rune('a'+i)), content))
		}
		r, err := archive.Open(names, nil)
		require.NoError(t, err)
		require.True(t, r.Regular())
		for _, err := range r.Lines(t.Context()) {
			require.NoError(t, err)
			all = append(all, r.Digest())
		}
		return all
	}
	same := digests([]byte("one\ntwo\n"), zipped("three\n"))
	require.Equal(t, same, digests([]byte("one\r\n\n  two"), []byte("three")))
	for _, others := range [][]string{
		digests([]byte("one\n"), []byte("two\nthree\n")), digests([]byte("one\ntwo\nthree\n")), digests([]byte("two\none\n"), []byte("three\n")),
		digests([]byte("One\ntwo\n"), []byte("three\n")),
	} {
		require.NotEqual(t, same[2], others[2])
	}
	require.NotEqual(t, digests([]byte(long + "a\nend"))[1], digests([]byte(long + "b\nend"))[1], "of lines that are too long too")
}
