package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	Runs       int             // how often everything is measured
	Events     int             // messages in one measurement
	Limit      time.Duration   // the longest measurement; the rate is then that so far
	Backlog    int             // messages of the memory suite
	Scales     []int           // documents of the growth suite
	Seconds    int             // of the latency and the serve suite
	Migrated   int             // documents on average of each tenant that is migrated in memory
	RoundTrips []time.Duration // distances of the suites distance and far-sweep
	Suites     []string
	Workloads  []string
	Archive    string // NDJSON file, .gz too
	Worker     string // the real program; built if empty
	Profile    string // file for a CPU profile of the worker
	Against    string // commit to compare with
	Write      bool
}

var suites = []string{"compare", "bill", "latency", "serve", "memory", "growth", "workers", "sweep", "distance", "far-sweep", "ledger", "scale"}

func parseOptions(args []string) (options, error) {
	o := options{
		Runs: 7, Events: 60_000, Limit: 15 * time.Second, Backlog: 1_000_000,
		Scales: []int{10_000, 100_000, 1_000_000}, Seconds: 30, Migrated: 30,
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "small and few: to see that it works, not how fast")
	flags.IntVar(&o.Runs, "runs", o.Runs, "how often everything is measured")
	flags.IntVar(&o.Events, "events", o.Events, "messages in one measurement")
	flags.DurationVar(&o.Limit, "limit", o.Limit, "the longest measurement")
	flags.IntVar(&o.Backlog, "backlog", o.Backlog, "messages waiting when memory is measured")
	chosen := flags.String("suites", strings.Join(suites, ","), "what to run, by comma; also: profile, serve-profile, against")
	roundTrips := flags.String("rtt", "0,20ms,100ms", "how far away the emulators are in the suites distance and far-sweep, by comma")
	flags.IntVar(&o.Seconds, "seconds", o.Seconds, "how long the latency at 100 events/s, and serve, are measured")
	flags.IntVar(&o.Migrated, "migrated", o.Migrated, "documents on average of each of the 10,000 tenants that scale-rewriting migrates in memory, 5 KB each")
	loads := flags.String("workloads", "", "by comma; empty: all")
	flags.StringVar(&o.Archive, "archive", "", "a file of events, NDJSON or .gz, as one more workload")
	flags.StringVar(&o.Worker, "worker", "", "registry-worker; empty: it is built")
	flags.StringVar(&o.Profile, "profile", "worker.pprof", "where profile and serve-profile write")
	flags.StringVar(&o.Against, "against", "", "a commit: measure the worker and the hot paths as they were then and as they are, in turns, and nothing else unless -suites says so")
	flags.BoolVar(&o.Write, "write", false, "write the tables to ../docs/benchmarks.md")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.quick(flags)
	}
	if o.Against != "" && *chosen == strings.Join(suites, ",") {
		*chosen = "against"
	}
	for _, text := range strings.Split(*roundTrips, ",") {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > 10*time.Second {
			return o, fmt.Errorf("%w: -rtt: %q: want durations up to 10s by comma, such as 0,20ms,100ms", errUsage, text)
		}
		o.RoundTrips = append(o.RoundTrips, d)
	}
	o.Suites = expand(strings.Split(*chosen, ","))
	if *loads != "" {
		o.Workloads = strings.Split(*loads, ",")
	}
	return o, o.validate()
}

// quick makes what was not asked for small.
func (o *options) quick(flags *flag.FlagSet) {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, setting := range []struct {
		flag string
		make func()
	}{
		{"runs", func() { o.Runs = 1 }},
		{"events", func() { o.Events = 10_000 }},
		{"limit", func() { o.Limit = 5 * time.Second }},
		{"backlog", func() { o.Backlog = 50_000 }},
		{"seconds", func() { o.Seconds = 5 }},
	} {
		if !given[setting.flag] {
			setting.make()
		}
	}
	o.Scales = []int{1000, 10_000}
}

func (o options) validate() error {
	var faults []error
	for _, s := range o.Suites {
		if all := slices.Concat(suites, scaleNames(), []string{"profile", "serve-profile", "against"}); !slices.Contains(all, s) {
			faults = append(faults, fmt.Errorf("%w: no suite %q: want some of %s", errUsage, s, strings.Join(all, ",")))
		}
	}
	if slices.Contains(o.Suites, "against") != (o.Against != "") {
		faults = append(faults, fmt.Errorf("%w: the suite against is for -against COMMIT", errUsage))
	}
	var names []string
	for _, w := range allWorkloads(o.Archive) {
		names = append(names, w.name)
	}
	for _, w := range o.Workloads {
		if !slices.Contains(names, w) {
			faults = append(faults, fmt.Errorf("%w: no workload %q: want some of %s", errUsage, w, strings.Join(names, ",")))
		}
	}
	if o.Runs < 1 || o.Events < 1000 || o.Backlog < 1000 || o.Migrated < 1 {
		faults = append(faults, fmt.Errorf("%w: at least 1 run, 1,000 events, a backlog of 1,000, 1 document of each tenant", errUsage))
	}
	if o.Archive != "" {
		if _, err := os.Stat(o.Archive); err != nil {
			faults = append(faults, fmt.Errorf("%w: archive: %w", errUsage, err))
		}
	}
	return errors.Join(faults...)
}

func (o options) workloads() []workload {
	all := allWorkloads(o.Archive)
	if o.Workloads == nil {
		return all
	}
	return slices.DeleteFunc(all, func(w workload) bool { return !slices.Contains(o.Workloads, w.name) })
}
