package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

var errCut = errors.New("the rest is another part's")

// partFile is the file of a part that is read, and what has been written to it
// since the manifest was told.
type partFile struct {
	*part
	file      *os.File
	buffer    *bufio.Writer
	bytes     int64
	documents int64
	leftOut   int64
	unread    int64
}

// open opens a part's file behind what the manifest knows of it.
func (p *part) open(dir string) (*partFile, error) {
	file, err := os.OpenFile(p.file(dir), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err = p.trim(dir); err == nil {
		_, err = file.Seek(p.Bytes, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &partFile{part: p, file: file, buffer: bufio.NewWriterSize(file, 64<<10)}, nil
}

// read reads a part to its end, which others may bring nearer meanwhile.
func (r *run) read(ctx context.Context, p *part) error {
	at := r.at
	if r.o.OwnTimes {
		var err error
		if at, err = r.source.AsOf(ctx, time.Time{}); err != nil {
			return err
		}
	}
	f, err := p.open(r.o.Dir)
	if err != nil {
		return err
	}
	r.mu.Lock()
	after, upTo := p.now, p.UpTo
	r.mu.Unlock()
	err = r.source.Range(ctx, at, after, upTo, 0, func(record ownership.Record) error { return r.take(f, record, at.Ledger) })
	done := err == nil || errors.Is(err, errCut)
	if noted := r.note(f, done); noted != nil || done {
		return errors.Join(noted, f.file.Close())
	}
	return errors.Join(fmt.Errorf("behind %q: %w", after, err), f.file.Close())
}

// take writes a record to its part's file.
func (r *run) take(f *partFile, record ownership.Record, l *ownership.Ledger) error {
	r.mu.Lock()
	if f.UpTo != "" && record.Document > f.UpTo {
		r.mu.Unlock()
		return errCut
	}
	f.now = record.Document
	f.part.read++
	r.mu.Unlock()
	lines, leftOut := r.o.Encode(record, l)
	if leftOut != nil {
		f.leftOut++
		if r.tell(leftOut) {
			f.unread++
		}
	}
	f.documents++
	n, err := f.buffer.Write(lines)
	f.bytes += int64(n)
	if err == nil && f.documents >= noteEvery {
		return r.note(f, false)
	}
	return err
}

// note writes out what is buffered, and lets the manifest know.
func (r *run) note(f *partFile, done bool) error {
	if err := f.buffer.Flush(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Position, f.Done = f.now, done
	f.Bytes, f.Documents = f.Bytes+f.bytes, f.Documents+f.documents
	f.LeftOut, f.Unread = f.LeftOut+f.leftOut, f.Unread+f.unread
	f.bytes, f.documents, f.leftOut, f.unread = 0, 0, 0, 0
	if r.o.Progress != nil {
		r.o.Progress(r.manifest.documents())
	}
	if time.Since(r.saved) < saveEvery {
		return nil
	}
	r.saved = time.Now()
	return r.manifest.save(r.o.Dir)
}
