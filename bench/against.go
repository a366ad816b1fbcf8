package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// hotPaths are the Go benchmarks that the suite against runs of both trees: a check
// from memory, and a request that the throttle answers by itself.
var hotPaths = []struct {
	dir, pattern string // dir is from the tree's root; the package is .
}{
	{"registry/verifier", "^BenchmarkCheckFromMemory$/^(one_resource|one_resource_in_parallel|10,000_resources)$"},
	{"bench/quota", "^Benchmark(OneTenant|OneTenantInParallel|ManyTenantsInParallel)$/^quota$"},
}

// tree is the source of a commit, or this one, with what is built of it.
type tree struct {
	name    string
	root    string
	program string   // registry-worker
	tests   []string // one for each of hotPaths
}

// against measures the worker, the cached check and the throttle as they are beside
// what they were at another commit, in turns. It is not among the suites that run by
// default: -against COMMIT chooses it.
func (b *bench) against(ctx context.Context) (_ string, err error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	old := filepath.Join(b.dir, "against")
	if err := command(ctx, root, "git", "worktree", "add", "--detach", old, b.options.Against); err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, command(context.WithoutCancel(ctx), root, "git", "worktree", "remove", "--force", old))
	}()
	trees := []*tree{{name: "before", root: old}, {name: "after", root: root, program: b.program}}
	for _, t := range trees {
		if err := t.build(ctx, filepath.Join(b.dir, t.name)); err != nil {
			return "", err
		}
	}
	hot, err := b.againstHotPaths(ctx, trees)
	if err != nil {
		return "", err
	}
	rates, err := b.againstWorkers(ctx, trees)
	if err != nil {
		return "", err
	}
	return rates + "\n" + hot, nil
}

func (t *tree) build(ctx context.Context, into string) error {
	if t.program == "" {
		t.program = into + "-worker"
		if err := command(ctx, t.root, "go", "build", "-trimpath", "-o", t.program, "./cmd/registry-worker"); err != nil {
			return err
		}
	}
	for i, hot := range hotPaths {
		test := fmt.Sprintf("%s-%d.test", into, i)
		if err := command(ctx, filepath.Join(t.root, hot.dir), "go", "test", "-c", "-o", test, "."); err != nil {
			return err
		}
		t.tests = append(t.tests, test)
	}
	return nil
}

func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", c, err, out)
	}
	return nil
}

// againstWorkers is compare with the worker of either tree, beside the probe.
func (b *bench) againstWorkers(ctx context.Context, trees []*tree) (string, error) {
	contenders := b.contenders()[:1]
	for _, t := range trees {
		c := b.worker()
		c.name, c.command[0] = t.name, t.program
		contenders = append(contenders, c)
	}
	t := table{title: "Throughput against " + b.options.Against, header: []string{"events/s, median (lowest to highest)", "probe", "before", "after", "before / probe", "after / probe", "after / before"}}
	rates := map[string]map[string][]float64{} // by workload, by contender
	for run := range b.options.Runs {
		for _, w := range b.options.workloads() {
			if err := b.refresh(ctx, len(contenders)*setting{workload: w, events: b.options.Events}.size()); err != nil {
				return "", err
			}
			for i := range contenders {
				c := contenders[(i+run)%len(contenders)]
				if c.name == "probe" && w.noProbe {
					continue
				}
				r, err := b.measure(ctx, setting{contender: c, workload: w, events: b.options.Events})
				if err != nil {
					return "", err
				}
				b.say("run %d/%d  %-12s  %-6s  %6.0f events/s  %4d + %d µs CPU/event%s", run+1, b.options.Runs, w.name, c.name, r.rate, r.cpu.Microseconds(), r.others.Microseconds(), partly(r))
				if rates[w.name] == nil {
					rates[w.name] = map[string][]float64{}
				}
				rates[w.name][c.name] = append(rates[w.name][c.name], r.rate)
			}
		}
	}
	for _, w := range b.options.workloads() {
		of := rates[w.name]
		probe, before, after := median(of["probe"]), median(of["before"]), median(of["after"])
		t.rows = append(t.rows, []string{w.name, spread(of["probe"], "%.0f"), spread(of["before"], "%.0f"), spread(of["after"], "%.0f"),
			ratio(before, probe), ratio(after, probe), ratio(after, before)})
	}
	return t.String(), nil
}

// againstHotPaths runs the Go benchmarks of both trees in turns.
func (b *bench) againstHotPaths(ctx context.Context, trees []*tree) (string, error) {
	var names []string
	times := map[string]map[string][]float64{} // by benchmark, by tree, in ns
	for run := range b.options.Runs {
		for i, hot := range hotPaths {
			for j := range trees {
				t := trees[(j+run)%len(trees)]
				found, err := t.benchmark(ctx, i, b.options.hotTime())
				if err != nil {
					return "", err
				}
				if len(found) == 0 {
					return "", fmt.Errorf("%s of %s has no benchmark %s", hot.dir, t.name, hot.pattern)
				}
				for _, f := range found {
					b.say("run %d/%d  %-50s  %-6s  %.1f ns", run+1, b.options.Runs, f.name, t.name, f.ns)
					if times[f.name] == nil {
						times[f.name] = map[string][]float64{}
						names = append(names, f.name)
					}
					times[f.name][t.name] = append(times[f.name][t.name], f.ns)
				}
			}
		}
	}
	t := table{title: "Hot paths against " + b.options.Against, header: []string{"ns, median (lowest to highest)", "before", "after", "after / before"}}
	for _, name := range names {
		before, after := times[name]["before"], times[name]["after"]
		t.rows = append(t.rows, []string{name, spread(before, "%.1f"), spread(after, "%.1f"), ratio(median(after), median(before))})
	}
	return t.String(), nil
}

// hotTime is how long each benchmark of a hot path runs.
func (o options) hotTime() time.Duration { return time.Duration(max(1, o.Seconds/30)) * time.Second }

// timing is one line of a Go benchmark.
type timing struct {
	name string
	ns   float64
}

var timingLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op`)

func (t *tree) benchmark(ctx context.Context, hot int, span time.Duration) (found []timing, err error) {
	c := exec.CommandContext(ctx, t.tests[hot], "-test.run=^$", "-test.bench="+hotPaths[hot].pattern, "-test.benchtime="+span.String())
	c.Dir = filepath.Join(t.root, hotPaths[hot].dir)
	out, err := c.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", c, err, out)
	}
	for _, m := range timingLine.FindAllSubmatch(bytes.TrimSpace(out), -1) {
		ns, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return nil, err
		}
		found = append(found, timing{strings.ReplaceAll(string(m[1]), "_", " "), ns})
	}
	return found, nil
}
