// Package archive reads and writes archives: NDJSON files with one structured
// CloudEvent a line, plain or gzipped (design §2).
//
// A Reader reads several files as one archive and says where each line is;
// archived.Decode returns its content. A line that is too long is refused, and the
// Reader goes on after it. If a file cannot be read to its end, for example a gzip
// stream that was cut off, the walk ends with an error: an archive is never taken
// to be shorter than it is.
//
// What `export --events` writes begins with a line that says where and when, and
// ends with one that counts the events and has their hash (Writer.Begin and End).
// The Reader checks both and yields neither; an archive that was cut off or changed
// is an error at its end. An archive without these lines may have been cut between two
// events, and the Reader cannot notice.
//
// A file that a subscription of Pub/Sub has written to Cloud Storage as Avro with
// metadata is read too, a message as a line.
//
// It emits no telemetry. Position is for progress bars.
package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/interruptible"
)

// A Line is one line of an archive that is not blank.
type Line struct {
	File   string // as given to Open; "-" is standard input
	Number int    // from 1, counting blank lines too
	// Text is the line without its end. It is valid until the next line is
	// read. Empty if Refusal is set.
	Text []byte
	// Refusal is set if the line exceeds envelope.MaxMessageBytes.
	Refusal *events.Refusal
}

// A Reader reads archives one after the other. One goroutine may read; any may ask
// for the position.
type Reader struct {
	// Began, if not nil, is called when an archive with an origin begins, and with
	// nil for the first of a file's lines that belong to none.
	Began func(file string, line int, origin *Origin)

	files    []string
	stdin    io.Reader
	total    int64
	read     atomic.Int64
	finished hash.Hash // of the digests of the files that have been read
	current  hash.Hash // of the lines of this one, each with "\n"
}

// Regular reports whether the files can all be read more than once: none is
// standard input, a pipe or a device.
func (r *Reader) Regular() bool { return r.total >= 0 }

// Open prepares to read the files in order. "-" is stdin, which is not closed. If
// files are missing or are directories, the error names all of them now, before any
// is read.
func Open(files []string, stdin io.Reader) (*Reader, error) {
	r := &Reader{files: files, stdin: stdin, finished: sha256.New(), current: sha256.New()}
	var faults []error
	for _, file := range files {
		if file == "-" {
			r.total = -1
			continue
		}
		info, err := os.Stat(file)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("open archive: %w", err))
		case info.IsDir():
			faults = append(faults, fmt.Errorf("open archive %s: is a directory", file))
		case !info.Mode().IsRegular():
			r.total = -1
		case r.total >= 0:
			r.total += info.Size()
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return r, nil
}

// Position returns how many bytes of the files have been read, as they lie on
// disk, and how many there are; total is -1 if that cannot be known, as with
// standard input. It is safe for concurrent use.
func (r *Reader) Position() (read, total int64) { return r.read.Load(), r.total }

// Digest returns a SHA-256, in hexadecimal, of all that has been read: while a line
// is yielded, of everything up to and with it, of which files, in which order,
// blank lines and white space at the ends of lines left out. It is for the
// goroutine that reads.
func (r *Reader) Digest() string {
	all := sha256.New()
	all.Write(r.finished.Sum(nil))
	all.Write(r.current.Sum(nil))
	return hex.EncodeToString(all.Sum(nil))
}

// Lines yields every line that is not blank. An error comes with the file and the
// number of the line that could not be read, and is the last. The end of ctx is
// such an error too, even while the reader waits for a pipe or standard input.
func (r *Reader) Lines(ctx context.Context) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for _, file := range r.files {
			if !r.readFile(ctx, file, yield) {
				return
			}
		}
	}
}

// readFile returns false if the walk has ended.
func (r *Reader) readFile(ctx context.Context, file string, yield func(Line, error) bool) bool {
	input := interruptible.Reader(ctx, r.stdin)
	if file != "-" {
		f, err := interruptible.Open(ctx, file)
		if err != nil {
			yield(Line{File: file}, fmt.Errorf("open archive: %w", err))
			return false
		}
		defer f.Close()
		input = f
	}
	text, err := decompress(file, &counter{input, &r.read})
	if err != nil {
		yield(Line{File: file}, fmt.Errorf("read archive %s: %w", file, err))
		return false
	}
	defer func() {
		r.finished.Write(r.current.Sum(nil))
		r.current.Reset()
	}()
	if isAvro(text) {
		return r.readMessages(ctx, file, text, yield)
	}
	return r.readLines(ctx, file, text, yield)
}

func (r *Reader) readLines(ctx context.Context, file string, input *bufio.Reader, yield func(Line, error) bool) bool {
	var f frame
	for number := 1; ; number++ {
		line := Line{File: file, Number: number}
		fail := func(err error) bool {
			yield(Line{File: file, Number: number}, fmt.Errorf("read archive %s, line %d: %w", file, number, err))
			return false
		}
		var readErr error
		line.Text, line.Refusal, readErr = readLine(input, r.current)
		if ctx.Err() != nil {
			readErr = ctx.Err()
		}
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fail(readErr)
		}
		if line.Refusal != nil || len(line.Text) > 0 {
			own, err := f.line(number, line.Text, func(origin *Origin) {
				if r.Began != nil {
					r.Began(file, number, origin)
				}
			})
			if err != nil {
				return fail(err)
			}
			if !own && !yield(line, nil) {
				return false
			}
		}
		if readErr == nil {
			continue
		}
		if err := f.endOfFile(); err != nil {
			return fail(err)
		}
		return true
	}
}

// bom is the byte order mark that some editors put before a file, and that files
// which are put together have between lines.
var bom = []byte("\ufeff")

// readLine returns the next line without white space, or a byte order mark,
// around it, and writes it to the digest; a hash takes everything. The error is
// io.EOF if it is the last one.
func readLine(input *bufio.Reader, digest io.Writer) ([]byte, *events.Refusal, error) {
	line, err := input.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.TrimSpace(bytes.TrimPrefix(line, bom))
		if len(line) > 0 {
			_, _ = digest.Write(line)
			_, _ = digest.Write([]byte{'\n'})
		}
		return line, nil, err
	}
	_, _ = digest.Write(line)
	length := len(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = input.ReadSlice('\n')
		_, _ = digest.Write(line)
		length += len(line)
	}
	return nil, &events.Refusal{
		Reason: events.TooLarge,
		Detail: fmt.Sprintf("line: %d bytes, more than %d", length, envelope.MaxMessageBytes),
	}, err
}

// decompress returns the text of a file that is gzipped by its name or by its
// first bytes, of one member or several.
func decompress(name string, input io.Reader) (*bufio.Reader, error) {
	const room = len("\r\n")
	buffered := bufio.NewReaderSize(input, 64<<10)
	magic, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !strings.HasSuffix(name, ".gz") && !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return bufio.NewReaderSize(buffered, envelope.MaxMessageBytes+room), nil
	}
	text, err := gzip.NewReader(buffered)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // an empty file is not an empty archive
	}
	if err != nil {
		return nil, fmt.Errorf("gunzip: %w", err)
	}
	return bufio.NewReaderSize(text, envelope.MaxMessageBytes+room), nil
}

// counter counts the bytes that are read from a file.
type counter struct {
	io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}
