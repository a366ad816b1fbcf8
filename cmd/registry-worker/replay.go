package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events/archive"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry"
)

var replayCommand = command{
	Name:    "replay",
	Args:    "FILE…",
	Summary: "apply archives of events to the registry, or rewind the subscriptions",
	Details: "With FILEs: applies one structured CloudEvent a line straight to the registry,\n" +
		"without Pub/Sub; - is standard input, .gz is unpacked. Replaying again is harmless.\n" +
		"--dry-run says what would change, and changes nothing. Lines that can never succeed\n" +
		"are named with their reason, and left out; the exit code is then 1. With\n" +
		"--checkpoint, a replay that was killed goes on where it was.\n\n" +
		"With --since TIME, in place of FILEs: rewinds the subscriptions, so that Pub/Sub\n" +
		"delivers again, to the workers that run, what was published since and is kept.\n" +
		"That is harmless too, and is asked first, or --yes.",
	Examples: []string{
		"registry-worker replay --project my-project --dry-run events.ndjson.gz",
		"registry-worker replay --project my-project --checkpoint replay.json events.ndjson.gz",
		"registry-worker replay --project my-project --since 2h",
	},
	Groups: []config.Group{
		config.ReplayGroup, config.DryRunGroup, config.RateGroup, config.ConfirmGroup,
		config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.EventsGroup, config.LogGroup,
	},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory ends with it: want firestore"),
	},
	Run: runReplay,
}

func runReplay(ctx context.Context, in *invocation) error {
	switch {
	case !in.Config.Since.IsZero() && len(in.Args) > 0:
		return usagef("--since rewinds the subscriptions, FILEs are applied directly: want one of the two")
	case !in.Config.Since.IsZero():
		return in.rewind(ctx)
	case len(in.Args) == 0:
		return usagef("no FILE; - is standard input, and --since rewinds the subscriptions")
	case in.Config.DryRun && in.Config.Checkpoint != "":
		return usagef("--dry-run reads the archive as a whole: want no --checkpoint")
	}
	in.tellTarget(in.firestoreTarget())
	files, err := archive.Open(in.Args, in.Stdin)
	if err != nil {
		return err
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	store, err := in.openStore(start, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	if in.Config.DryRun {
		return in.dryRun(ctx, store, files)
	}
	return in.replay(ctx, store, files)
}

// rewind says what it means, asks, and rewinds.
func (in *invocation) rewind(ctx context.Context) error {
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	since, target := in.Config.Since, in.pubsubTarget()
	in.tellTarget(target)
	fmt.Fprintf(in.Stderr, "Rewinding to %s (%s ago):\n", since.Format(time.RFC3339), time.Since(since).Round(time.Second))
	for _, s := range in.Config.Subscriptions {
		fmt.Fprintf(in.Stderr, "  %s\n", s)
	}
	fmt.Fprint(in.Stderr, "What was published since and is kept is delivered again, acknowledged or not; what was\n"+
		"published before and is not acknowledged is not delivered any more. Subscriptions keep\n"+
		"acknowledged messages only where they were told to, as `provision` does. The registry\n"+
		"ends the same; the workers have the work, and conflicts become dead letters once more.\n")
	if in.Config.DryRun {
		return nil
	}
	if err := in.confirm(ctx, target, "rewind these subscriptions?"); err != nil {
		return err
	}
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := pubsubadmin.Rewind(ctx, client, in.Config.Subscriptions, since); err != nil {
		return in.explainPubSub(err)
	}
	fmt.Fprintln(in.Stderr, "rewound")
	return nil
}

// replay applies the files. What is under way when ctx ends is finished.
func (in *invocation) replay(ctx context.Context, store registry.Store, files *archive.Reader) error {
	options := in.replayOptions(files)
	var checkpoint *replay.File
	if in.Config.Checkpoint != "" {
		var err error
		if checkpoint, options.Resume, err = replay.OpenFile(in.Config.Checkpoint, in.Args); err != nil {
			return err
		}
		options.Save = checkpoint.Save
		if n := options.Resume.Counts.Total(); n > 0 {
			fmt.Fprintf(in.Stderr, "going on behind %s; %s done\n", options.Resume.Position, counted(n, "line", "lines"))
		}
	}
	note, err := in.refusals(options.Resume.Position != replay.Position{})
	if err != nil {
		return err
	}
	options.Refused = note.write
	progress := newProgress(in.Stderr, "lines replayed")
	note.progress = progress
	resumed := options.Resume.Counts.Total()
	options.Progress = func(c replay.Counts) {
		read, total := files.Position()
		progress.at(c.Total()-resumed, read, total)
	}
	counts, err := replay.Run(ctx, store, files, options)
	err = errors.Join(err, note.close())
	progress.end(counts.Total() - resumed)
	printCounts(in, counts, "changed", "changed")
	if err == nil && checkpoint != nil {
		err = checkpoint.Remove()
	}
	switch refused := counts.Of(handlers.Refused); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted; replaying again is harmless%s", hint(in.Config.Checkpoint))
	case err != nil:
		return err
	case refused > 0:
		return fmt.Errorf("%s refused, see %s; the others are applied", counted(refused, "line", "lines"), note.where)
	}
	return nil
}

func hint(checkpoint string) string {
	if checkpoint == "" {
		return ""
	}
	return ", and goes on with the same --checkpoint"
}

func (in *invocation) replayOptions(files *archive.Reader) replay.Options {
	return replay.Options{Rate: in.Config.Rate, MaxClockSkew: in.Config.MaxClockSkew}
}

// refusals is where refused lines are noted.
type refusals struct {
	where    string
	file     *os.File                 // nil: standard error
	noted    map[replay.Position]bool // before a replay that goes on was killed
	in       *invocation
	progress *progress
}

func (in *invocation) refusals(resumed bool) (*refusals, error) {
	r := &refusals{where: "above", in: in}
	if in.Config.Refused == "" {
		return r, nil
	}
	mode := os.O_TRUNC
	if resumed {
		mode = 0
	}
	var err error
	r.where = in.Config.Refused
	if r.file, err = os.OpenFile(in.Config.Refused, os.O_CREATE|os.O_RDWR|mode, 0o666); err != nil {
		return nil, fmt.Errorf("--refused: %w", err)
	}
	if !resumed {
		return r, nil
	}
	if err := r.readNoted(); err != nil {
		return nil, fmt.Errorf("--refused: %w", errors.Join(err, r.file.Close()))
	}
	return r, nil
}

// readNoted reads what was noted before, so that no line is noted twice, and
// cuts off what a kill left unfinished.
func (r *refusals) readNoted() error {
	r.noted = map[replay.Position]bool{}
	var whole int64
	for lines := bufio.NewReader(r.file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var refusal replay.Refusal
		if json.Unmarshal(line, &refusal) == nil {
			r.noted[replay.Position{File: refusal.File, Line: refusal.Line}] = true
		}
		whole += int64(len(line))
	}
	if err := r.file.Truncate(whole); err != nil {
		return err
	}
	_, err := r.file.Seek(whole, io.SeekStart)
	return err
}

func (r *refusals) write(refusal replay.Refusal) error {
	if r.file == nil {
		if r.progress != nil {
			r.progress.clear()
		}
		_, err := fmt.Fprintf(r.in.Stderr, "%s:%d: %s: %s\n", refusal.File, refusal.Line, refusal.Reason, refusal.Detail)
		return err
	}
	if r.noted[replay.Position{File: refusal.File, Line: refusal.Line}] {
		return nil
	}
	line, err := json.Marshal(refusal)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	return err
}

func (r *refusals) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// printCounts prints what lines said and what became of them.
func printCounts(in *invocation, counts replay.Counts, changed, unchanged string) {
	t := tabwriter.NewWriter(in.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tlines\tapplied\tinapplicable\tduplicate\trefused\t")
	row := func(what string, v map[handlers.Verdict]int) {
		total := 0
		for _, n := range v {
			total += n
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t\n", what, total, v[handlers.Applied], v[handlers.Inapplicable], v[handlers.Duplicate], v[handlers.Refused])
	}
	sum := map[handlers.Verdict]int{}
	for _, what := range replay.Whats {
		if counts[what] != nil {
			row(string(what), counts[what])
		}
		for verdict, n := range counts[what] {
			sum[verdict] += n
		}
	}
	row("all", sum)
	t.Flush()
	if n := counts.Changing(); n > 0 {
		fmt.Fprintf(in.Stdout, "%s %s the registry\n", counted(n, "line", "lines"), changed)
	} else {
		fmt.Fprintf(in.Stdout, "nothing %s\n", unchanged)
	}
}
