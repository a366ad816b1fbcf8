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
	dir       string // for what is built
	emulators *emulator.Emulators
	began     time.Time
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
	if b.program == "" {
		b.program = filepath.Join(dir, "registry-worker")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.program, "./cmd/registry-worker")
		build.Dir = ".." // its own module, with that one's versions of everything
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

// fresh replaces the emulators by new ones, and warms them up: Java compiles
// while it runs, and the first contender would pay for all.
func (b *bench) fresh(ctx context.Context) (err error) {
	if b.emulators != nil {
		if err := b.emulators.Stop(); err != nil {
			return err
		}
	}
	if b.emulators, err = startEmulators(ctx); err != nil {
		return err
	}
	short := *b
	short.options.Limit = min(b.options.Limit, 5*time.Second)
	for _, c := range b.contenders() {
		if _, err := short.measure(ctx, setting{contender: c, workload: allWorkloads("")[0], events: b.options.Events}); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	b.say("emulators are warm")
	return nil
}

// run runs the suites, and returns the report of those that ended well.
func (b *bench) run(ctx context.Context) (string, error) {
	var parts []string
	for _, s := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"compare", b.compare},
		{"bill", b.bill},
		{"latency", b.latency},
		{"memory", b.memory},
		{"growth", b.growth},
		{"workers", b.workers},
		{"sweep", b.sweep},
		{"profile", b.profile},
	} {
		if !slices.Contains(b.options.Suites, s.name) {
			continue
		}
		part, err := s.run(ctx)
		if err != nil {
			return b.report(parts), fmt.Errorf("%s: %w", s.name, err)
		}
		parts = append(parts, part)
	}
	return b.report(parts), nil
}

// say tells how far the benchmark is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(b.began).Round(time.Second), fmt.Sprintf(format, args...))
}

func (b *bench) report(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(append([]string{b.machine()}, parts...), "\n")
}
