package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// replayFiles runs `replay FILE…`: it refuses what can be refused, looks at the
// archives, asks, and then writes.
func (in *invocation) replayFiles(ctx context.Context) error {
	if err := in.checkFiles(); err != nil {
		return err
	}
	files, err := archive.Open(in.Args, in.Stdin)
	if err != nil {
		return err
	}
	if err := in.canAskOf(files); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	checkpoint, resume, err := in.openCheckpoint(target)
	if err != nil {
		return err
	}
	if err := in.look(ctx, files, target); err != nil {
		return err
	}
	in.ledgerRate = ledgerRate(in.Config.Rate)
	return in.withStore(ctx, func(store registryStore) error {
		if in.Config.DryRun {
			return in.dryRun(ctx, store, files)
		}
		if !in.Config.Yes {
			if err := in.askToReplay(ctx, store, target); err != nil {
				return err
			}
		}
		return in.replay(ctx, store, files, checkpoint, resume)
	})
}

// ledgerRate returns how many commits to the ledger a second a replay makes at
// most: --rate is documents a second, and a commit has some 500 of them. At the
// foot of the ramp that is one.
func ledgerRate(r governor.Rate) float64 {
	const movesInACommit, most = 500, 1e6
	return min(max(1, r.Foot()/movesInACommit), most)
}

// checkFiles refuses a replay that would destroy a file, or could not be resumed.
func (in *invocation) checkFiles() error {
	c := in.Config
	if c.DryRun && c.Checkpoint != "" {
		return usagef("--dry-run reads the archive as a whole: want no --checkpoint")
	}
	if c.Checkpoint == "-" {
		return usagef("--checkpoint wants a file: it is written again and again")
	}
	var inputs, outputs []namedFile
	given := map[string]bool{}
	for _, name := range in.Args {
		if given[name] && (name == "-" || c.Checkpoint != "") {
			return usagef("FILE %s stands twice", terminal.Quote(name))
		}
		given[name] = true
		inputs = append(inputs, namedFile{what: "FILE", name: name})
	}
	for _, output := range []namedFile{{what: "--checkpoint", name: c.Checkpoint}, {what: "--refused", name: c.Refused}} {
		if output.name != "" {
			outputs = append(outputs, output)
		}
	}
	return in.distinct(inputs, outputs)
}

// canAskOf refuses a replay that would have to ask and cannot: no one can answer,
// or the files can be read only once, and would be read before the question.
func (in *invocation) canAskOf(files *archive.Reader) error {
	if in.Config.DryRun {
		return nil
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	if !in.Config.Yes && !files.Regular() {
		return usagef("it reads the archive before it asks, and standard input or a pipe can be read only once: want a file, or --yes")
	}
	return nil
}

// openCheckpoint opens --checkpoint, and says where it is. Without one the file is
// nil.
func (in *invocation) openCheckpoint(to target) (*replay.File, replay.Checkpoint, error) {
	if in.Config.Checkpoint == "" {
		return nil, replay.Checkpoint{}, nil
	}
	checkpoint, resume, err := replay.OpenFile(in.Config.Checkpoint, replay.Subject{
		Target:  to.String(),
		Files:   in.Args,
		Options: fmt.Sprintf("retractions %t, assertions %t, clock skew %s", in.Config.WithRetractions, in.Config.WithAssertions, in.Config.MaxClockSkew),
	})
	if err != nil {
		return nil, resume, err
	}
	if n := resume.Counts.Total(); n > 0 {
		fmt.Fprintf(in.Stderr, "going on behind %s:%d; %s done\n", terminal.Quote(resume.Position.File), resume.Position.Line, counted(n, "line", "lines"))
	}
	return checkpoint, resume, nil
}

// look says where the archives come from, and reads them to their end if they
// can be read again: one that was cut or changed is refused before anything is
// written.
func (in *invocation) look(ctx context.Context, files *archive.Reader, to target) error {
	tell := func(file string, line int, origin *archive.Origin) {
		switch {
		case origin == nil:
			fmt.Fprintf(in.Stderr, "%s:%d: these lines do not say where they come from, nor whether they are complete\n", terminal.Quote(file), line)
		default:
			from := target{origin.Project, origin.Database, origin.Prefix, origin.Emulator}
			elsewhere := ""
			if from != to {
				elsewhere = ": not where they are written to"
			}
			fmt.Fprintf(in.Stderr, "%s:%d: exported at %s from %s%s\n", terminal.Quote(file), line, origin.Time.Format(time.RFC3339), from, elsewhere)
		}
	}
	if !files.Regular() {
		files.Began = tell
		return nil
	}
	first, err := archive.Open(in.Args, nil)
	if err != nil {
		return err
	}
	empty := true
	first.Began = func(file string, line int, origin *archive.Origin) {
		empty = false
		tell(file, line, origin)
	}
	for _, err := range first.Lines(ctx) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w; nothing was changed", err)
		}
	}
	if empty {
		return fmt.Errorf("%s: there is no event in it: it is empty; nothing was changed", quotedList(in.Args))
	}
	return nil
}

// askToReplay says what the replay would change, and asks for confirmation.
func (in *invocation) askToReplay(ctx context.Context, store registryStore, to target) error {
	files, err := archive.Open(in.Args, nil)
	if err != nil {
		return err
	}
	look := *in
	config := *in.Config
	look.Config, look.Stdout = &config, in.Stderr // standard output is for the result
	look.Config.Refused = ""
	if err := look.dryRun(ctx, store, files); err != nil {
		return err
	}
	with := ""
	switch {
	case config.WithRetractions && config.WithAssertions:
		with = ", with its retractions and plain sets"
	case config.WithRetractions:
		with = ", with its retractions"
	case config.WithAssertions:
		with = ", with its plain sets"
	}
	return in.confirm(ctx, to, "replay "+quotedList(in.Args)+with+"?")
}

// quotedList quotes names for a sentence.
func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = terminal.Quote(name)
	}
	return strings.Join(quoted, ", ")
}

// replay applies the files. When ctx ends it finishes what it has begun.
func (in *invocation) replay(ctx context.Context, store ownership.Store, files *archive.Reader, checkpoint *replay.File, resume replay.Checkpoint) error {
	options := in.replayOptions()
	options.Resume = resume
	note, err := in.refusals(ctx, resume.Position != replay.Position{})
	if err != nil {
		return err
	}
	options.Refused = note.write
	if checkpoint != nil {
		options.Save = func(c replay.Checkpoint) error { return errors.Join(note.save(), checkpoint.Save(c)) }
	}
	progress := newProgress(in.Stderr, "line", "replayed")
	note.progress = progress
	displaced := 0
	options.Displaced = func(d replay.Displaced) error {
		displaced++
		progress.clear()
		return in.tellDisplaced(d)
	}
	resumed := resume.Counts.Total()
	options.Progress = func(c replay.Counts) {
		read, total := files.Position()
		progress.at(c.Total()-resumed, read, total)
	}
	counts, err := replay.Run(ctx, store, files, options)
	err = errors.Join(err, note.close())
	progress.end(counts.Total() - resumed)
	printCounts(in.report(), counts, "line", "changed", "changed")
	if displaced > 0 {
		fmt.Fprintf(in.report(), "%s named above lost to an earlier event\n", counted(displaced, "entry", "entries"))
	}
	if err == nil && checkpoint != nil {
		err = checkpoint.Remove()
	}
	switch refused := counts.Of(handlers.Refused); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; replaying again is harmless%s", hint(in.Config.Checkpoint))
	case err != nil:
		return err
	case refused > 0:
		return fmt.Errorf("%s refused, see %s; the others are applied", counted(refused, "line", "lines"), terminal.Quote(note.where))
	}
	return nil
}

// tellDisplaced names tenants whose ownership was acknowledged earlier, and is
// displaced.
func (in *invocation) tellDisplaced(d replay.Displaced) error {
	what := "a move"
	if d.Resource != (registry.Resource{}) {
		what = d.Resource.String()
	}
	said := string(d.Entry.Type) + " " + d.Entry.Tenant
	if d.Entry.Tenant == "" {
		said = fmt.Sprintf("%s %s → %s", d.Entry.Type, d.Entry.From, d.Entry.To)
	}
	_, err := fmt.Fprintf(in.Stderr, "%s:%d: displaced: %s: %s (event %s of %s, %s)\n", terminal.Quote(d.At.File), d.At.Line,
		terminal.Quote(what), terminal.Quote(said), terminal.Quote(d.Entry.ID), terminal.Quote(d.Entry.Source), d.Entry.Time.Format(time.RFC3339Nano))
	return err
}

// report returns where the result is printed: standard output, unless refused lines
// go there.
func (in *invocation) report() io.Writer {
	if in.refusedOnStdout() {
		return in.Stderr
	}
	return in.Stdout
}

func hint(checkpoint string) string {
	if checkpoint == "" {
		return ""
	}
	return ", and goes on with the same --checkpoint"
}

func (in *invocation) replayOptions() replay.Options {
	return replay.Options{
		Rate: in.Config.Rate, MaxClockSkew: in.Config.MaxClockSkew,
		Retractions: in.Config.WithRetractions, Assertions: in.Config.WithAssertions,
	}
}
