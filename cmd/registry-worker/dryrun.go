package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// sampleSize is how many changes of each sort a dry run and a plan list.
const sampleSize = 10

// dryRun says what a replay would change, and writes nothing. Lines that would be
// refused are reported, and are not an error of the dry run.
func (in *invocation) dryRun(ctx context.Context, store registryStore, files *archive.Reader) (err error) {
	dry, err := replay.NewDryRun(ctx, store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dry.Close()) }()
	note, err := in.refusals(ctx, false)
	if err != nil {
		return err
	}
	options := in.replayOptions()
	options.Rate = governor.Unlimited // it only reads
	options.Refused = note.write
	progress := newProgress(in.Stderr, "line", "looked at")
	note.progress = progress
	options.Progress = func(c replay.Counts) {
		read, total := files.Position()
		progress.at(c.Total(), read, total)
	}
	counts, err := replay.Run(ctx, dry, files, options)
	if closeErr := note.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	progress.end(counts.Total())
	printCounts(in.report(), counts, "line", "would change", "would change")
	if refused := counts.Of(handlers.Refused); refused > 0 {
		fmt.Fprintf(in.Stderr, "%s would be refused, see %s\n", counted(refused, "line", "lines"), terminal.Quote(note.where))
	}
	effect, err := dry.Effect(sampleSize)
	if err != nil {
		return err
	}
	in.printEffect(effect)
	if len(effect.TenantMoves) == 0 {
		return nil
	}
	plan, err := in.planner(store).Between(ctx, effect.Before, effect.After, dry.Names)
	if err != nil {
		return err
	}
	in.printBeside(plan)
	return nil
}

// printBeside says what moves of whole tenants would do to resources that the
// archive does not name.
func (in *invocation) printBeside(p rewrite.Plan) {
	fmt.Fprintln(in.report(), "by these moves, beside what the archive names:")
	for _, kind := range registry.Kinds() {
		fmt.Fprintf(in.report(), "  %s would change hands\n", count(p.Owners[kind], kind))
	}
	for _, c := range p.Sample {
		fmt.Fprintf(in.report(), "    %s: %s → %s\n", terminal.Quote(c.Resource.String()), terminal.Quote(c.From), terminal.Quote(c.To))
	}
	if p.Plain > 0 {
		fmt.Fprintf(in.report(), "  %d of them carry plain sets, for which no move can promise\n", p.Plain)
	}
}

func (in *invocation) printEffect(e replay.Effect) {
	for _, kind := range registry.Kinds() {
		if n := e.Registered[kind]; n > 0 {
			fmt.Fprintf(in.report(), "%s would be registered\n", count(int64(n), kind))
		}
		if n := e.Moved[kind]; n > 0 {
			fmt.Fprintf(in.report(), "%s would change hands\n", count(int64(n), kind))
		}
		if n := e.Deleted[kind]; n > 0 {
			fmt.Fprintf(in.report(), "%s would be deleted\n", count(int64(n), kind))
		}
	}
	for _, c := range slices.Concat(e.RegisteredSample, e.Moves, e.DeletedSample) {
		from := c.From
		if from == "" {
			from = "no owner"
		}
		to := terminal.Quote(c.To)
		if c.Deleted {
			to = "deleted, for good"
		}
		fmt.Fprintf(in.report(), "  %s: %s → %s\n", terminal.Quote(c.Resource.String()), terminal.Quote(from), to)
	}
	for _, m := range e.TenantMoves {
		verb := "begin"
		if !m.Counts() {
			verb = "cease"
		}
		fmt.Fprintf(in.report(), "the move of everything from %s to %s (event %s) would %s to count\n", terminal.Quote(m.From), terminal.Quote(m.To), terminal.Quote(m.ID), verb)
	}
}
