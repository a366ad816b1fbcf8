package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator"
)

// bench is one run of the benchmark.
type bench struct {
	options   options
	self      string // this program
	program   string // registry-worker
	dir       string // of what is built
	emulators *emulator.Emulators
	used      int // messages and documents that these emulators have taken
	began     time.Time
	missed    []string   // figures of the suites of scale that do not hold
	scaled    [][]string // all figures of theirs
}

func newBench(ctx context.Context, o options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "realtime-registry-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, self: self, program: o.Worker, dir: dir, began: time.Now()}
	if b.program == "" && !slices.Equal(o.Suites, []string{"serve-profile"}) { // which makes what others are built by
		b.program = filepath.Join(dir, "registry-worker")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-pgo", servePGO, "-o", b.program, "./cmd/registry-worker")
		build.Dir = ".." // its own module, with that module's versions of everything
		if out, err := build.CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("build registry-worker: %w\n%s", err, out), os.RemoveAll(dir))
		}
	}
	return b, nil
}

func (b *bench) close() {
	if b.emulators != nil {
		_ = b.emulators.Stop()
	}
	_ = os.RemoveAll(b.dir)
}

// cold replaces the emulators by new ones, for a suite that hardly asks them.
func (b *bench) cold(ctx context.Context) (err error) {
	if b.emulators != nil {
		if err := b.emulators.Stop(); err != nil {
			return err
		}
	}
	b.used = enough // not for a suite that measures them
	b.emulators, err = startEmulators(ctx)
	return err
}

// fresh replaces the emulators by new ones, and warms them up: Java compiles
// while it runs, and the first contenders would pay for all.
func (b *bench) fresh(ctx context.Context) error {
	if err := b.cold(ctx); err != nil {
		return err
	}
	short := *b
	short.options.Limit = min(b.options.Limit, 5*time.Second)
	all := allWorkloads("")
	for _, round := range []struct {
		contenders []contender
		workload   workload
	}{
		{b.contenders(), all[0]}, {b.contenders()[:2], all[0]}, {b.contenders()[:2], all[1]}, {b.contenders()[:2], all[2]},
	} {
		for _, c := range round.contenders {
			if _, err := short.measure(ctx, setting{contender: c, workload: round.workload, events: b.options.Events}); err != nil {
				return fmt.Errorf("warm up: %w", err)
			}
		}
	}
	b.used = 0
	b.say("emulators are warm")
	return nil
}

// enough is how many messages and documents a pair of emulators takes before it
// is replaced: they keep memory of what was deleted, and at 2,500,000 or so they
// do little but collect garbage.
const enough = 1_000_000

// refresh replaces emulators that have taken enough, or would with what comes
// next. Call it between rounds, so that all contenders of a round meet the same
// ones.
func (b *bench) refresh(ctx context.Context, next int) error {
	if b.emulators != nil && (b.used == 0 || b.used+next <= enough) {
		return nil
	}
	return b.fresh(ctx)
}

// run runs the suites, and prints what each has measured; on request it is
// written into the documentation too, as soon as the suite has ended.
func (b *bench) run(ctx context.Context) error {
	type suite struct {
		name string
		run  func(context.Context) (string, error)
	}
	all := []suite{
		{"compare", b.compare},
		{"bill", b.bill},
		{"latency", b.latency},
		{"serve", b.serve},
		{"memory", b.memory},
		{"growth", b.growth},
		{"workers", b.workers},
		{"sweep", b.sweep},
		{"distance", b.distance},
		{"far-sweep", b.farSweep},
		{"ledger", b.ledger},
		{"profile", b.profile},
		{"serve-profile", b.serveProfile},
		{"against", b.against},
	}
	for _, s := range scaleSuites {
		all = append(all, suite{s.name, func(ctx context.Context) (string, error) { return b.scale(ctx, s) }})
	}
	for _, s := range all {
		if !slices.Contains(b.options.Suites, s.name) {
			continue
		}
		tables, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		report := tables + "\n" + b.machine()
		fmt.Println(report)
		if b.options.Write && s.name != "profile" && s.name != "serve-profile" && s.name != "against" {
			if err := writeReport(s.name, report); err != nil {
				return err
			}
		}
	}
	if len(b.scaled) > 0 {
		fmt.Println(b.allScaled())
	}
	if len(b.missed) > 0 {
		return fmt.Errorf("%d figures do not hold:\n  %s", len(b.missed), strings.Join(b.missed, "\n  "))
	}
	return nil
}

// say reports how far the benchmark is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(b.began).Round(time.Second), fmt.Sprintf(format, args...))
}
