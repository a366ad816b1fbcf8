package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/export"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var verifyCommand = command{
	Name:    "verify",
	Args:    "ARCHIVE…",
	Summary: "compare archives of events with the registry",
	Details: "Prints what the archives know and the registry does not, and the other way round, one\n" +
		"event a line; if there is anything, the exit code is 1. An event is known where it would\n" +
		"change nothing. It changes nothing itself.\n\n" +
		"ARCHIVEs are what replay takes: files of `export --events`, logs of publishers, and what\n" +
		"a subscription of Pub/Sub has written to Cloud Storage, together. Of an archive that is\n" +
		"not complete --since and --before name the times of events from which, and up to which,\n" +
		"it is. Lines that a worker would refuse are counted, and are no difference; those that\n" +
		"are no events are named, and a fault: the archive was cut, or is none.\n\n" +
		"It reads each document of the registry once, and those that the archives name twice.",
	Examples: []string{
		"registry-worker verify --project my-project --since 2026-01-02T03:00:00Z archive/*.ndjson.gz",
		"registry-worker verify --project my-project --json events.ndjson.gz > differences.ndjson",
	},
	Groups: []config.Group{config.VerifyGroup, config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.EventsGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject, config.NeedSharedRegistry("this process's memory is empty: want firestore")},
	Run:    runVerify,
}

func runVerify(ctx context.Context, in *invocation) error {
	if len(in.Args) == 0 {
		return usagef("no ARCHIVE; - is standard input")
	}
	inputs := make([]namedFile, len(in.Args))
	for i, name := range in.Args {
		inputs[i] = namedFile{what: "ARCHIVE", name: name}
	}
	if err := in.distinct(inputs, nil); err != nil {
		return err
	}
	files, err := archive.Open(in.Args, in.Stdin)
	if err != nil {
		return err
	}
	in.Config.DryRun = true // no read makes the store write
	return in.withStore(ctx, func(store registryStore) error {
		if err := in.needDocuments(ctx, store, ""); err != nil {
			return fmt.Errorf("nothing was compared: %w", err)
		}
		v := verification{invocation: in, store: store, out: bufio.NewWriter(in.Stdout)}
		return errors.Join(v.run(ctx, files), v.out.Flush())
	})
}

// verification is one run of verify.
type verification struct {
	*invocation
	store   registryStore
	out     *bufio.Writer
	missing int // in the registry
	unknown int // to the archives
	refused map[events.Reason]int
	torn    int // lines that are no events
}

// mostTorn is how many lines that are no events are named.
const mostTorn = 20

// refuse notes a line that says nothing. What is no event at all was never a message, or
// is no longer: the archive does not know what it would have said.
func (v *verification) refuse(r replay.Refusal) {
	switch r.Reason {
	case events.Malformed, events.TooLarge, events.Panic:
	default:
		v.refused[r.Reason]++
		return
	}
	if v.torn++; v.torn <= mostTorn {
		fmt.Fprintf(v.Stderr, "%s:%d: no event: %s\n", terminal.Quote(r.File), r.Line, terminal.Line(r.Detail))
	} else if v.torn == mostTorn+1 {
		fmt.Fprintln(v.Stderr, "…: further lines are counted, and not named")
	}
}

// Who knows an event that the other does not.
const (
	archiveKnows  = "archive"
	registryKnows = "registry"
)

func (v *verification) run(ctx context.Context, files *archive.Reader) (err error) {
	v.refused = map[events.Reason]int{}
	bar := newProgress(v.Stderr, "line", "read")
	comparison, counts, err := replay.Compare(ctx, v.store, files, replay.CompareOptions{
		Since: v.Config.Since, Before: v.Config.Before, Assertions: v.Config.WithAssertions, MaxClockSkew: v.Config.MaxClockSkew,
		Missing: func(c ownership.Change) error {
			v.missing++
			bar.clear()
			_, err := v.out.Write(v.line(archiveKnows, c))
			return err
		},
		Refused: func(r replay.Refusal) error { bar.clear(); v.refuse(r); return nil },
		Progress: func(c replay.Counts) {
			read, total := files.Position()
			bar.at(c.Total(), read, total)
		},
	})
	if err != nil {
		bar.clear()
		return err
	}
	bar.end(counts.Total())
	defer func() { err = errors.Join(err, comparison.Close()) }()
	if counts.Total() == v.torn {
		return v.noArchive(counts.Total())
	}
	if err := v.moves(ctx, comparison); err != nil {
		return err
	}
	left, err := v.documents(ctx, comparison)
	if err != nil {
		return err
	}
	return v.judge(left)
}

// moves prints what the archives do not know of the ledger.
func (v *verification) moves(ctx context.Context, comparison *replay.Comparison) error {
	return v.store.EachMove(ctx, time.Time{}, func(e ownership.LedgerEntry) error {
		if e.Unread != nil {
			return e.Unread
		}
		for _, c := range comparison.UnknownMoves(e) {
			v.unknown++
			if _, err := v.out.Write(v.line(registryKnows, c)); err != nil {
				return err
			}
		}
		return nil
	})
}

// documents prints what they do not know of resources, and returns how many documents
// are not understood. Ranges are read side by side, each as of its own time, into files
// for temporary ones.
func (v *verification) documents(ctx context.Context, comparison *replay.Comparison) (unread int64, err error) {
	dir, err := os.MkdirTemp("", "registry-worker-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bar := newProgress(v.Stderr, "document", "compared")
	var failure atomic.Pointer[error]
	result, err := export.Run(ctx, v.store, export.Options{
		Dir: dir, OwnTimes: true,
		Encode: func(r ownership.Record, l *ownership.Ledger) (lines []byte, leftOut error) {
			if _, err := ownerOf(r, l); err != nil {
				return nil, err
			}
			unknown, err := comparison.Unknown(r)
			if err != nil {
				failure.CompareAndSwap(nil, &err)
			}
			for _, c := range unknown {
				lines = append(lines, v.line(registryKnows, c)...)
			}
			return lines, nil
		},
		LeftOut:  func(err error) { bar.clear(); (&leftOut{out: v.Stderr}).tell(err) },
		Progress: func(n int64) { bar.at(int(n), 0, -1) },
	})
	if err != nil {
		return 0, err
	}
	if failed := failure.Load(); failed != nil {
		return 0, *failed
	}
	bar.end(int(result.Documents))
	for _, file := range result.Files {
		if err := v.copy(file); err != nil {
			return 0, err
		}
	}
	return result.Unread, nil
}

// copy prints a file of lines.
func (v *verification) copy(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := bufio.NewReader(f); ; v.unknown++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := v.out.Write(line); err != nil {
			return err
		}
	}
}

// line is a line of the result.
func (v *verification) line(knows string, c ownership.Change) []byte {
	var b bytes.Buffer
	if v.Config.JSON {
		event, err := json.Marshal(handlers.Event(c))
		if err == nil {
			err = terminal.JSON(&b).Encode(struct {
				KnownBy string          `json:"known_by"`
				Event   json.RawMessage `json:"event"`
			}{knows, event})
		}
		if err != nil {
			panic(err) // it has only texts
		}
		return b.Bytes()
	}
	what, e := "tenant", c.Entry
	if c.Resource != (registry.Resource{}) {
		what = c.Resource.String()
	}
	says := strings.TrimSpace(string(e.Type) + " " + e.Tenant)
	switch e.Type {
	case ownership.Moved:
		says = fmt.Sprintf("%s %s → %s", e.Type, e.From, e.To)
	case ownership.Retracted:
		says = fmt.Sprintf("%s by %s", e.Type, e.Actor)
	}
	by := fmt.Sprintf("event %s of %s", terminal.Quote(e.ID), terminal.Quote(e.Source))
	if e.ID == "" && e.Source == "" { // a deletion, or a plain set
		by = "by no event whose name is kept"
	}
	fmt.Fprintf(&b, "%s only: %s: %s (%s, %s)\n", knows, terminal.Quote(what), terminal.Quote(says), by, e.Time.UTC().Format(time.RFC3339Nano))
	return b.Bytes()
}

// noArchive returns the fault of files without a single event: to compare them would print
// all that the registry has.
func (v *verification) noArchive(lines int) error {
	text := quotedList(v.Args)
	if lines == 0 {
		return fmt.Errorf("%s: there is no event in it: it is empty, and nothing was compared", text)
	}
	return fmt.Errorf("%s: none of its %s is an event: this is no archive, and nothing was compared", text, counted(lines, "line", "lines"))
}

// judge reports the result.
func (v *verification) judge(unread int64) error {
	for _, reason := range append(envelope.Reasons(), replay.NotAsked) {
		if n := v.refused[reason]; n > 0 {
			fmt.Fprintf(v.Stderr, "%s of the archives left out: %s\n", counted(n, "line", "lines"), reason)
		}
	}
	var faults []error
	if v.torn > 0 {
		faults = append(faults, fmt.Errorf("%s: what stood there is not known, and was not compared",
			counted(v.torn, "line of the archives is no event", "lines of the archives are no events")))
	}
	if v.missing+v.unknown > 0 {
		faults = append(faults, fmt.Errorf("%s only the archives know, %s only the registry",
			counted(v.missing, "event", "events"), counted(v.unknown, "event", "events")))
	} else if v.torn == 0 {
		fmt.Fprintln(v.Stderr, "archives and registry know the same")
	}
	return errors.Join(append(faults, (&leftOut{unread: int(unread)}).fault())...)
}
