// Bench compares the worker with what else one could run, on the official
// emulators on this machine, and measures how it behaves as the load grows.
//
//	go run . -quick            # a few minutes, for development
//	go run . -write            # everything, and the tables into ../docs/benchmarks.md
//	go run . -suites compare -workloads fresh,mix -runs 3
//
// What is compared, each in a process of its own, on the same subscriptions:
//
//   - probe: no logic at all, 16 streams, batches of 500 in one BatchWrite, ack:
//     what these clients and emulators can do at most;
//   - worker: the real program, registry-worker run, with its defaults;
//   - transaction: a Firestore transaction for each message, with Google's
//     clients: what most people write;
//   - watermill: a Watermill router with its Google Cloud subscriber and a
//     handler that may be repeated.
//
// # How it is measured
//
// Each suite starts emulators and warms them up. Each measurement has a project
// of its own, which is deleted afterwards; emulators that have taken much are
// replaced all the same, since they do not forget everything. In each run every
// contender is measured on every workload, in an order that changes from run to
// run. All messages are published before the contender starts; the rate is that
// from the first acknowledgement seen to the last, or to the end of -limit.
// Afterwards the documents are counted: a contender that lost any fails the
// benchmark.
//
// The suites distance, far-sweep and ledger put the rules of the services before
// the emulators (package emulator/wire/rules), and -rtt away:
//
//	go run . -suites distance,far-sweep,ledger -rtt 0,20ms,100ms -runs 1 -limit 4s -seconds 10 -write
//
// Whether a change made anything slower is for -against, which builds another commit
// too, and measures both in turns: the worker beside the probe, a check from memory,
// and a request that the throttle answers by itself.
//
//	go run . -against HEAD~20 -runs 5 -workloads fresh,mix
//
// The suites scale-… measure what must hold at the target's size, with counts and
// durations that are fixed; scale stands for all of them, and `make scale` runs
// them. If a figure does not hold, the benchmark fails.
//
// Billed operations are counted on the wire, by a proxy between the contender
// and Firestore, in runs of their own that are not timed.
//
// The ratios carry over to other machines; the rates do not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/northstar-engines/realtime-registry/bench/internal/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run, args := runBench, os.Args[1:]
	if len(args) > 0 && args[0] == "peer" {
		run, args = runPeer, args[1:]
	}
	err := run(ctx, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

// runPeer is this program as one of the contenders.
func runPeer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench peer", flag.ContinueOnError)
	var o peer.Options
	name := flags.String("name", "", "one of "+strings.Join(peer.Programs, ", "))
	subscriptions := flags.String("subscriptions", "", "by comma")
	flags.StringVar(&o.Project, "project", "", "")
	flags.IntVar(&o.Streams, "streams", 16, "for each subscription")
	flags.IntVar(&o.Outstanding, "outstanding", 10_000, "messages held in memory")
	flags.IntVar(&o.Batch, "batch", 500, "documents in one write")
	flags.IntVar(&o.InFlight, "in-flight", 8, "writes under way")
	flags.BoolVar(&o.Read, "read", false, "the probe reads what it would write")
	flags.StringVar(&o.Profile, "profile", "", "the worker writes a CPU profile here")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Subscriptions = strings.Split(*subscriptions, ",")
	return peer.Run(ctx, *name, o, os.Stderr)
}

func runBench(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	return b.run(ctx)
}
