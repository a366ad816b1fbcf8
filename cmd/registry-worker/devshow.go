package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/dev"
	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// devShow runs a worker with its API, and shows what it does.
type devShow struct {
	service     *service
	watch       *dev.Watch
	publish     func(context.Context, dev.Message) (messageID string, err error)
	deadLetters string   // the topic
	notes       []string // how to go on from here
	shown       func()   // called when all is shown
}

// run works until ctx ends, and shows the example meanwhile.
func (d devShow) run(ctx context.Context, emulators *emulator.Emulators) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return d.service.consume(working, d.watch, true) })
	group.Go(func() error { return whileRunning(working, emulators) })
	group.Go(func() error {
		err := d.show(working)
		if working.Err() != nil {
			return nil // it is reported elsewhere, or is a Ctrl-C
		}
		return err
	})
	return group.Wait()
}

func (d devShow) show(ctx context.Context) error {
	defer d.shown()
	defer d.watch.Forget()
	if !d.service.in.Config.Empty {
		if err := d.publishExample(ctx); err != nil {
			return fmt.Errorf("example events: %w", err)
		}
	}
	out := bufio.NewWriter(d.service.in.Stdout) // in one piece, between lines of the log
	page := dev.Page{Out: out, Bold: telemetry.IsTerminal(d.service.in.Stdout) && os.Getenv("NO_COLOR") == ""}
	at := dev.API{
		Address:    d.service.listener.Addr().String(),
		Token:      len(d.service.in.Config.APITokens) > 0 || d.service.in.Config.APITokenFile != "",
		ClaimToken: len(d.service.in.Config.ClaimTokens) > 0 || d.service.in.Config.ClaimTokenFile != "",
	}
	requests := dev.EmptyRequests
	if !d.service.in.Config.Empty {
		requests = dev.ExampleRequests
		snapshot, err := d.service.store.Read(ctx, dev.ExampleResources)
		if err != nil {
			return err
		}
		if err := page.Owners(snapshot); err != nil {
			return err
		}
		page.Refused(d.watch.DeadLetters(), d.deadLetters)
	}
	page.Requests(requests, at)
	if url := d.service.consoleURL(); url != "" {
		page.Notes("Look", url, "    what it does at this moment, and who owns what, and why")
	}
	page.Notes("Go on", d.notes...)
	return out.Flush()
}

// exampleTimeout bounds the way of one example event through worker and
// registry. It takes some milliseconds; a lease (pubsubadmin.AckDeadline) longer
// if a worker that was killed has fetched it.
const exampleTimeout = 90 * time.Second

// lateAfter is when it says what it is waiting for.
const lateAfter = 3 * time.Second

// publishExample publishes one event after the other, each when the one before
// is settled.
func (d devShow) publishExample(ctx context.Context) error {
	for _, m := range dev.Example() {
		if err := d.settle(ctx, m); err != nil {
			return fmt.Errorf("event %s: %w", m.EventID, err)
		}
	}
	return nil
}

func (d devShow) settle(ctx context.Context, m dev.Message) error {
	ctx, cancel := context.WithTimeout(ctx, exampleTimeout)
	defer cancel()
	id, err := d.publish(ctx, m)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", m.Topic, err)
	}
	late := time.AfterFunc(lateAfter, func() {
		fmt.Fprintf(d.service.in.Stderr, "waiting for the worker to settle %s …; does another worker, or another dev, consume these subscriptions too?\n", m.EventID)
	})
	defer late.Stop()
	if err := d.watch.Await(ctx, id); err != nil {
		return fmt.Errorf("not settled within %s by the worker on %s; does another worker, or another dev, consume them too? %w",
			exampleTimeout, strings.Join(d.service.in.Config.Subscriptions, ", "), err)
	}
	return nil
}

// whileRunning returns when ctx ends, or with an error when an emulator ends.
func whileRunning(ctx context.Context, emulators *emulator.Emulators) error {
	ended := make(chan *emulator.Emulator, 2)
	for _, e := range []*emulator.Emulator{emulators.Firestore, emulators.PubSub} {
		if e == nil {
			continue
		}
		go func() {
			<-e.Done()
			ended <- e
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case e := <-ended:
		return fmt.Errorf("the %s emulator ended; its last words:\n%s", e.Name, lastLines(e.Output(), 12))
	}
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// notesOnEmulators say how other programs reach the emulators.
func (d *devRun) notesOnEmulators() []string {
	program := invokedAs()
	lines := []string{
		"In another terminal, every command sees what is here:",
		"",
		"  export GOOGLE_CLOUD_PROJECT=" + d.in.Config.Project,
		"  export FIRESTORE_EMULATOR_HOST=" + os.Getenv("FIRESTORE_EMULATOR_HOST"),
		"  export PUBSUB_EMULATOR_HOST=" + os.Getenv("PUBSUB_EMULATOR_HOST"),
		"  " + program + " export",
	}
	if !d.in.Config.Empty {
		lines = append(lines, "  "+program+" inspect thread th_support", "  "+program+" dead-letters list")
	}
	return append(lines, "", "docs/seeding.md says how to bring your own events. Ctrl-C ends it all.")
}

var notesOnMemory = []string{
	"All of this is in the memory of one process: claims and checks work, publishing",
	"your own events takes the emulators. Ctrl-C ends it.",
}

// invokedAs returns how this program was called, so that pasted lines work.
func invokedAs() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/" + programName
	}
	return os.Args[0]
}
