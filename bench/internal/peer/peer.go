// Package peer holds the programs that the worker is compared with. Each
// consumes the same subscriptions in a process of its own, counts what it has
// acknowledged, and says so at /metrics, as the worker does.
package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
)

// Options are what all programs are given. Each has a default that the
// comparison uses.
type Options struct {
	Project       string
	Subscriptions []string
	Streams       int    // StreamingPull streams for each subscription
	Outstanding   int    // messages held in memory
	Batch         int    // documents in one write (probe)
	InFlight      int    // writes under way at the same time (probe)
	Read          bool   // the probe reads what it would write
	Profile       string // file for a CPU profile (worker)
}

// program consumes until ctx ends. It adds what it has acknowledged to done.
type program func(ctx context.Context, o Options, done *atomic.Int64) error

// Programs lists the names that Run takes.
var Programs = []string{"bare", "probe", "transaction", "watermill", "worker"}

func byName(name string) program {
	switch name {
	case "bare":
		return bare
	case "probe":
		return probe
	case "transaction":
		return transaction
	case "watermill":
		return watermillRouter
	case "worker":
		return worker
	}
	return nil
}

// Run runs a program until ctx ends. It writes the address at which it listens to
// out, as registry-worker logs it.
func Run(ctx context.Context, name string, o Options, out io.Writer) error {
	run := byName(name)
	if run == nil {
		return fmt.Errorf("no such program: %s", name)
	}
	if err := emulated(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var done atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "registry_events_total{outcome=\"any\"} %d\n", done.Load())
	})
	if name == "bare" {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }() // ends by Close
	defer server.Close()
	fmt.Fprintf(out, "{\"msg\":\"listening\",\"address\":%q}\n", listener.Addr())
	if err := run(ctx, o, &done); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// bare consumes nothing: its server answers every request with 204 and nothing
// else, which is the most that a Go HTTP server does.
func bare(ctx context.Context, _ Options, _ *atomic.Int64) error {
	<-ctx.Done()
	return nil
}

// emulated returns an error unless this process talks to both emulators: nothing
// here may cost money.
func emulated() error {
	for _, name := range []string{"FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"} {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is not set", name)
		}
	}
	return nil
}
