package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/capacity"
	"github.com/northstar-engines/realtime-registry/internal/export"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// exportSource is a registry that can be read in ranges.
type exportSource interface {
	archiveSource
	Documents(ctx context.Context) (int64, error)
	HasDocuments(ctx context.Context) (bool, error)
	Recovers(ctx context.Context) (bool, error)
}

// For how long Firestore answers reads as of a time, and with point-in-time
// recovery of whole minutes: "must be a microsecond precision timestamp within the
// past one hour, or if Point-in-Time Recovery is enabled, can additionally be a
// whole minute timestamp within the past 7 days" (RunQueryRequest.read_time,
// google/firestore/v1/firestore.proto).
const (
	readable           = time.Hour
	readableByRecovery = 7 * 24 * time.Hour
	countPatience      = 10 * time.Second
	documentsPerSecond = int64(capacity.ExportRate)
	partsSuffix        = ".parts"
)

// exportFile writes an export to a file, from ranges that are read side by side. It
// resumes an interrupted export to the same file.
func exportFile(ctx context.Context, in *invocation, source exportSource, f format) error {
	name := in.Config.Output
	e := fileExport{in: in, source: source, format: f, dir: name + partsSuffix}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return fmt.Errorf("--output %s: what is read is kept beside it until the file is whole, and nothing can be written there; choose another directory: %w", name, err)
	}
	at, lasts, err := e.when(ctx)
	if err != nil {
		return err
	}
	e.lasts = lasts
	bar := newProgress(in.Stderr, "document", "")
	from := in.firestoreTarget()
	result, err := export.Run(ctx, source, export.Options{
		Dir:      e.dir,
		Origin:   export.Origin{Project: from.Project, Database: from.Database, Prefix: from.Prefix, Emulator: from.Emulator, What: f.name},
		At:       at,
		OwnTimes: f.ownTimes,
		Encode:   f.encode,
		LeftOut:  func(err error) { bar.clear(); (&leftOut{out: in.Stderr}).tell(err) },
		Begun:    func(at ownership.Snapshot, done int64) error { return e.begun(ctx, at, done) },
		Progress: func(n int64) { bar.at(int(n), n, e.documents) },
	})
	if err != nil {
		bar.clear()
		return e.interrupted(err)
	}
	bar.end(int(result.Documents))
	lines, err := e.write(name, from, result)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(e.dir); err != nil {
		return err
	}
	return f.outcome(in.Stderr, int(result.Documents-result.LeftOut), lines, leftOut{unread: int(result.Unread)})
}

// fileExport is an export to a file in progress.
type fileExport struct {
	in     *invocation
	source exportSource
	format format
	dir    string

	at        time.Time     // as of when it reads; zero: ranges have times of their own
	lasts     time.Duration // for how long such reads are answered
	documents int64         // approximately; 0: not known
}

// when returns the time as of which to read, zero for now, and for how long that is
// possible.
func (e *fileExport) when(ctx context.Context) (at time.Time, lasts time.Duration, err error) {
	if e.format.ownTimes {
		return time.Time{}, 0, nil
	}
	recovers, err := e.source.Recovers(ctx)
	if err != nil {
		fmt.Fprintf(e.in.Stderr, "whether point-in-time recovery is on cannot be told, so it is taken to be off: %v\n", err)
	}
	if !recovers {
		return time.Time{}, readable, nil
	}
	now, err := e.source.AsOf(ctx, time.Time{})
	if err != nil {
		return time.Time{}, 0, err
	}
	return now.ReadTime.Truncate(time.Minute).Add(-time.Minute), readableByRecovery, nil
}

// begun says how long the export will take, and whether that fits, and reads the ledger
// if it is to be part of it. It comes first, since it can be read for no longer than
// the documents.
func (e *fileExport) begun(ctx context.Context, at ownership.Snapshot, done int64) error {
	e.tell(ctx, at, done)
	if !e.format.framed {
		return nil
	}
	if _, err := os.Stat(e.ledgerFile(at)); err == nil { // an export that was interrupted has read it
		return nil
	}
	file, err := os.CreateTemp(e.dir, "ledger-*.new")
	if err != nil {
		return err
	}
	buffer := bufio.NewWriterSize(file, 64<<10)
	err = writeLedger(ctx, buffer, e.in.Stderr, e.source, at)
	if err = errors.Join(err, buffer.Flush(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), e.ledgerFile(at))
}

// ledgerFile is the part of the export that holds the ledger as of a time.
func (e *fileExport) ledgerFile(at ownership.Snapshot) string {
	return filepath.Join(e.dir, fmt.Sprintf("ledger-%d.part", at.ReadTime.UnixMicro()))
}

// tell says how long the export will take, and whether that fits.
func (e *fileExport) tell(ctx context.Context, at ownership.Snapshot, done int64) {
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	text, takes := "", time.Duration(0)
	if n, err := e.source.Documents(ctx); err == nil {
		e.documents = n
		takes = time.Duration(max(n-done, 0)) * time.Second / time.Duration(documentsPerSecond)
		text = fmt.Sprintf("about %d documents, at %d a second %s", n, documentsPerSecond, takes.Round(time.Second))
	} else {
		text = fmt.Sprintf("how many documents there are cannot be told: %v", err)
	}
	if e.format.framed {
		text += "; before them " + ledgerCost(at.Ledger)
		takes += time.Duration(at.Ledger.Len()) * time.Second / ledgerPerSecond
	}
	if done > 0 {
		text += fmt.Sprintf("; resumed, %d are there already", done)
	}
	if !e.format.ownTimes {
		e.at = at.ReadTime
		until := e.at.Add(e.lasts)
		text += fmt.Sprintf("; read as of %s, which can be read until %s", e.at.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
		if takes > time.Until(until) {
			text += ": this will probably not fit; turn on point-in-time recovery, with which it is seven days"
		}
	}
	fmt.Fprintln(e.in.Stderr, text)
}

// interrupted says what to do about an export that did not end.
func (e *fileExport) interrupted(err error) error {
	switch {
	case errors.Is(err, export.ErrOther):
		return err
	case !e.at.IsZero() && time.Since(e.at) > e.lasts:
		return fmt.Errorf("%w; what was read as of %s cannot be read any more: remove %s and export again", err, e.at.UTC().Format(time.RFC3339), e.dir)
	}
	return fmt.Errorf("%w; the same command goes on with what is in %s", err, e.dir)
}

// write joins the parts in one file, and returns how many lines they have.
func (e *fileExport) write(name string, from target, result export.Result) (lines int, err error) {
	w, err := archive.Create(name, nil)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Discard())
		}
	}()
	whole := result.Unread == 0 // only a complete archive has an end
	if e.format.framed {
		if err := w.Begin(archive.Origin{Project: from.Project, Database: from.Database, Prefix: from.Prefix, Emulator: from.Emulator, Time: result.At.ReadTime}); err != nil {
			return 0, err
		}
		if _, err := copyLines(w, e.ledgerFile(result.At)); err != nil {
			return 0, err
		}
	}
	for _, file := range result.Files {
		n, err := copyLines(w, file)
		if err != nil {
			return 0, err
		}
		lines += n
	}
	if e.format.framed && whole {
		if err := w.End(result.At.ReadTime); err != nil {
			return 0, err
		}
	}
	return lines, w.Close()
}

func copyLines(w *archive.Writer, file string) (lines int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for r := bufio.NewReaderSize(f, 1<<20); ; lines++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if err := w.WriteLine(line[:len(line)-1]); err != nil {
			return lines, err
		}
	}
}

// format is what an export prints.
type format struct {
	name     string // of export.Origin.What
	ownTimes bool   // the export does not need one read time
	framed   bool   // with the ledger, between the first and last lines of an archive
	// encode returns a record's lines, or why it was left out.
	encode func(ownership.Record, *ownership.Ledger) (lines []byte, leftOut error)
	// judge reports the result of a complete export of so many documents and lines.
	judge func(told io.Writer, documents, lines int) error
}
