package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/export"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// exportEvents writes the events from which an empty registry becomes this one: the
// ledger first, so that no document has to be rewritten, then the history of every
// resource. The first line says where they are from, and the last that they are
// complete. Both have the store's time, not this machine's: everything acknowledged
// before is in the archive. Documents that no event can express are named in
// foreign.
func exportEvents(ctx context.Context, store archiveSource, from target, out, foreign io.Writer) error {
	snapshot, err := store.AsOf(ctx, time.Time{})
	if err != nil {
		return err
	}
	at := snapshot.ReadTime
	w, err := archive.Create("-", out)
	if err != nil {
		return err
	}
	if err := w.Begin(archive.Origin{Project: from.Project, Database: from.Database, Prefix: from.Prefix, Emulator: from.Emulator, Time: at}); err != nil {
		return err
	}
	if snapshot.Ledger.Len() > ledgerPerSecond {
		fmt.Fprintln(foreign, "reading "+ledgerCost(snapshot.Ledger))
	}
	if err := writeLedger(ctx, archiveLines{w}, foreign, store, snapshot); err != nil {
		return errors.Join(err, w.Close())
	}
	left := leftOut{out: foreign}
	err = store.Range(ctx, snapshot, "", "", 0, func(r ownership.Record) error {
		if _, err := ownerOf(r, snapshot.Ledger); err != nil {
			left.tell(err)
			return nil
		}
		return writeEvents(w, foreign, handlers.Archive(r.Resource, r.History))
	})
	if err = errors.Join(err, left.fault()); err == nil { // only a complete archive has an end
		err = w.End(at)
	}
	return errors.Join(err, w.Close())
}

// archiveSource is a registry that is archived.
type archiveSource interface {
	export.Source
	ownership.LedgerReader
}

// ledgerPerSecond is how many entries of the ledger one query brings in a second; said
// as what it is, a guess.
const ledgerPerSecond = 10_000

// ledgerCost says what reading the ledger's entries takes: what they hold beside
// tenants and times is in no process's memory, nor in snapshots.
func ledgerCost(l *ownership.Ledger) string {
	return fmt.Sprintf("%s of whole tenants, each a read, at %d a second %s", counted(l.Len(), "move", "moves"), ledgerPerSecond,
		(time.Duration(l.Len()) * time.Second / ledgerPerSecond).Round(time.Second))
}

// writeLedger writes the events of the ledger as of a time, a line for each, in the
// order of their versions. Memory does not grow with the ledger's entries.
func writeLedger(ctx context.Context, out, told io.Writer, source archiveSource, at ownership.Snapshot) (err error) {
	for _, e := range at.Ledger.Unread() {
		return e.Unread // without it the archive would be another registry's
	}
	var sorted export.Sorted
	defer func() { err = errors.Join(err, sorted.Close()) }()
	bar, n := newProgress(told, "move", ""), 0
	err = source.EachMove(ctx, at.ReadTime, func(e ownership.LedgerEntry) error {
		var lines lineBuffer
		if err := writeEvents(&lines, io.Discard, handlers.ArchiveMove(e)); err != nil {
			return err
		}
		n++
		bar.at(n, int64(n), int64(at.Ledger.Len()))
		return sorted.Add(e.Version, lines.text)
	})
	if err != nil {
		return err
	}
	bar.clear()
	_, err = sorted.WriteTo(out)
	return err
}

// archiveLines writes whole lines to an archive.
type archiveLines struct{ *archive.Writer }

func (w archiveLines) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		if err := w.WriteLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}

func writeEvents(w eventWriter, foreign io.Writer, all []events.Event) error {
	for _, e := range all {
		if asserted, ok := e.Data.(archived.Asserted); ok {
			if err := registry.ValidateTenant(asserted.TenantID); err != nil {
				fmt.Fprintln(foreign, terminal.Line(fmt.Sprintf("%s: a plain set that is not exported: %v", asserted.Resource, err)))
				continue
			}
		}
		if err := w.Write(e); err != nil {
			return err
		}
	}
	return nil
}

// archiveFormat writes the events of every resource.
func archiveFormat(foreign io.Writer) format {
	return format{
		name:   "events",
		framed: true,
		encode: func(r ownership.Record, l *ownership.Ledger) ([]byte, error) {
			if _, err := ownerOf(r, l); err != nil {
				return nil, err
			}
			var lines lineBuffer
			err := writeEvents(&lines, foreign, handlers.Archive(r.Resource, r.History))
			return lines.text, err
		},
		judge: func(io.Writer, int, int) error { return nil },
	}
}

// eventWriter is an archive, or a part of one.
type eventWriter interface {
	Write(e events.Event) error
}

// lineBuffer holds the lines of some events.
type lineBuffer struct{ text []byte }

func (b *lineBuffer) Write(e events.Event) error {
	line, err := json.Marshal(e)
	b.text = append(append(b.text, line...), '\n')
	return err
}
