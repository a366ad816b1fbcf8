package archive_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

func TestLinesComeWithFileAndNumberAndBlankOnesDoNot(t *testing.T) {
	a := file(t, "a.ndjson", []byte("one\n\n  two \r\n \t \nthree"))
	b := file(t, "b.ndjson", []byte("\nfour\n"))
	lines, err := read(t, []string{a, "-", b}, "stdin\n")
	require.NoError(t, err)
	require.Equal(t, []string{a + ":1 one", a + ":3 two", a + ":5 three", "-:1 stdin", b + ":2 four"}, lines)
}

func TestGzipIsKnownByNameOrByItsFirstBytes(t *testing.T) {
	byName := file(t, "a.ndjson.gz", zipped("one\ntwo\n"))
	byBytes := file(t, "b.ndjson", zipped("three\n"))
	lines, err := read(t, []string{byName, byBytes, "-"}, string(zipped("four")))
	require.NoError(t, err)
	require.Equal(t, []string{byName + ":1 one", byName + ":2 two", byBytes + ":1 three", "-:1 four"}, lines)
}

func TestGzipMembersAreReadAsOneFile(t *testing.T) {
	name := file(t, "a.gz", append(zipped("one\ntw"), zipped("o\nthree\n")...))
	lines, err := read(t, []string{name}, "")
	require.NoError(t, err)
	require.Equal(t, []string{name + ":1 one", name + ":2 two", name + ":3 three"}, lines)
}

func TestAnEmptyFileHasNoLines(t *testing.T) {
	lines, err := read(t, []string{file(t, "a.ndjson", nil), file(t, "b.gz", zipped("")), "-"}, "")
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestAByteOrderMarkBeforeALineIsNoPartOfIt(t *testing.T) {
	plain := file(t, "a.ndjson", []byte("\ufeffone\r\n\ufefftwo\n\ufeff\n"))
	lines, err := read(t, []string{plain, file(t, "b.gz", zipped("\ufeffthree\n"))}, "")
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.Equal(t, plain+":1 one", lines[0])
	require.Equal(t, plain+":2 two", lines[1])
	require.True(t, strings.HasSuffix(lines[2], "b.gz:1 three"))
}

func TestALineThatIsTooLongIsRefusedAndTheNextOnesAreRead(t *testing.T) {
	longest := strings.Repeat("x", envelope.MaxMessageBytes)
	name := file(t, "a.ndjson", []byte("one\n"+longest+"\r\n"+longest+"yyy\n"+"four\n"+longest+longest+longest+"zz"))
	reader, err := archive.Open([]string{name}, nil)
	require.NoError(t, err)
	type seen struct {
		number, length int
		refusal        string
	}
	var lines []seen
	for line, err := range reader.Lines(t.Context()) {
		require.NoError(t, err)
		s := seen{number: line.Number, length: len(line.Text)}
		if line.Refusal != nil {
			s.refusal = line.Refusal.Error()
		}
		lines = append(lines, s)
	}
	require.Equal(t, []seen{
		{number: 1, length: 3},
		{number: 2, length: 1048576},
		{number: 3, refusal: "too_large: line: 1048580 bytes, more than 1048576"},
		{number: 4, length: 4},
		{number: 5, refusal: "too_large: line: 3145730 bytes, more than 1048576"},
	}, lines)
}

func TestAGzipFileThatWasCutIsAnErrorAfterItsWholeLines(t *testing.T) {
	whole := zipped("one\n" + strings.Repeat("two\n", 1000))
	for name, cut := range map[string]int{"by its trailer": 8, "by a byte": 1} {
		t.Run(name, func(t *testing.T) {
			name := file(t, "a.gz", whole[:len(whole)-cut])
			lines, err := read(t, []string{name}, "")
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "read archive "+name+", line 1002")
			require.Len(t, lines, 1001)
		})
	}
}

func TestAFileThatIsNotWhatItsNameSaysIsAnError(t *testing.T) {
	for name, content := range map[string]string{"text.gz": "one\n", "empty.gz": ""} {
		path := file(t, name, []byte(content))
		_, err := read(t, []string{path}, "")
		require.ErrorContains(t, err, "read archive "+path+": gunzip: ")
	}
}

func TestAnErrorEndsTheWalk(t *testing.T) {
	bad, good := file(t, "a.gz", []byte("one")), file(t, "b", []byte("two\n"))
	lines, err := read(t, []string{bad, good}, "")
	require.Error(t, err)
	require.Empty(t, lines)
}

func TestOpenNamesEveryFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	_, err := archive.Open([]string{filepath.Join(dir, "missing"), file(t, "good", nil), dir}, nil)
	require.ErrorContains(t, err, filepath.Join(dir, "missing"))
	require.ErrorContains(t, err, dir+": is a directory")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheWalkMayEndEarly(t *testing.T) {
	reader, err := archive.Open([]string{file(t, "a", []byte("one\ntwo\n")), file(t, "b", []byte("three\n"))}, nil)
	require.NoError(t, err)
	n := 0
	for range reader.Lines(t.Context()) {
		n++
		break
	}
	require.Equal(t, 1, n)
}

func TestThePositionGrowsToTheSizeOnDisk(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "%x\n", sha256.Sum256([]byte{byte(i), byte(i >> 8)})) // hardly compresses
	}
	zip := zipped(text.String())
	require.Greater(t, len(zip), 256<<10)
	reader, err := archive.Open([]string{file(t, "a.gz", zip), file(t, "b", []byte("one\n"))}, nil)
	require.NoError(t, err)
	size := int64(len(zip) + 4)
	last, steps := int64(0), 0
	for _, err := range reader.Lines(t.Context()) {
		require.NoError(t, err)
		read, total := reader.Position()
		require.Equal(t, size, total)
		require.GreaterOrEqual(t, read, last)
		if read > last {
			steps++
		}
		last = read
	}
	require.Equal(t, size, last)
	require.Greater(t, steps, 3, "the position moves while a file is read")
}

func TestTheSizeOfStandardInputIsUnknown(t *testing.T) {
	reader, err := archive.Open([]string{"-", file(t, "a", []byte("one\n"))}, strings.NewReader("two\n"))
	require.NoError(t, err)
	_, total := reader.Position()
	require.EqualValues(t, -1, total)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	want := []events.Event{
		{ID: "1", Source: "s", Time: at, Data: events.ThreadCreated{TenantID: "t_a", ThreadID: "x"}},
		archived.NewAsserted("t_b", events.ResourceRef{Kind: "thread", ID: "x"}, at),
	}
	for _, name := range []string{"a.ndjson", "a.ndjson.gz"} {
		t.Run(name, func(t *testing.T) {
			path := file(t, name, []byte("what was there before, and is longer than what comes: "+strings.Repeat("x", 4096)))
			w, err := archive.Create(path, nil)
			require.NoError(t, err)
			require.NoError(t, w.Write(want[0]))
			line, err := want[1].MarshalJSON()
			require.NoError(t, err)
			require.NoError(t, w.WriteLine(line))
			require.NoError(t, w.Close())
			require.NoError(t, w.Close())

			var got []events.Event
			reader, err := archive.Open([]string{path}, nil)
			require.NoError(t, err)
			for line, err := range reader.Lines(t.Context()) {
				require.NoError(t, err)
				event, err := archived.Decode(line.Text, at)
				require.NoError(t, err)
				got = append(got, event)
			}
			require.Equal(t, want, got)
		})
	}
}

func TestWritingToStandardOutputIsPlainAndLeavesItOpen(t *testing.T) {
	var out bytes.Buffer
	w, err := archive.Create("-", &out)
	require.NoError(t, err)
	require.NoError(t, w.WriteLine([]byte("one")))
	require.NoError(t, w.Close())
	require.Equal(t, "one\n", out.String())
}

func TestAFaultOfTheDiskIsNotLost(t *testing.T) {
	w, err := archive.Create("-", failing{})
	require.NoError(t, err)
	require.NoError(t, w.WriteLine([]byte("one")), "buffered")
	require.ErrorContains(t, w.Close(), "close archive -: no space")

	_, err = archive.Create(filepath.Join(t.TempDir(), "missing", "a"), nil)
	require.ErrorContains(t, err, "create archive")
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

// read returns the lines as "file:number text", and the error that ended the walk.
func read(t *testing.T, files []string, stdin string) ([]string, error) {
	t.Helper()
	reader, err := archive.Open(files, strings.NewReader(stdin))
	require.NoError(t, err)
	var lines []string
	for line, err := range reader.Lines(t.Context()) {
		if err != nil {
			return lines, err
		}
		lines = append(lines, line.File+":"+strconv.Itoa(line.Number)+" "+string(line.Text))
	}
	return lines, nil
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func zipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // into memory
	_ = w.Close()
	return b.Bytes()
}
