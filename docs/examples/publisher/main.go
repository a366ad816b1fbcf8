// Command publisher is an example: a create flow of threads in Go, which claims
// and then publishes.
//
//	publisher t_acme th_1    creates a thread
//	publisher                publishes what an earlier run left
//
// Project and emulators are those of GOOGLE_CLOUD_PROJECT, FIRESTORE_EMULATOR_HOST
// and PUBSUB_EMULATOR_HOST; OUTBOX is a directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv("GOOGLE_CLOUD_PROJECT"), os.Getenv("OUTBOX")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, project, outbox string) error {
	if outbox == "" {
		return errors.New("OUTBOX is not set: want a directory that outlives a crash")
	}
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: project, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer store.Close()
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer client.Close()
	publisher := client.Publisher(events.ThreadCreatedType.Topic())
	publisher.PublishSettings.Timeout = 10 * time.Second // then the event waits in the outbox
	defer publisher.Stop()

	flow := createFlow{registry.New(store), publisher, outbox}
	if len(args) == 2 {
		if err := flow.create(ctx, args[0], args[1]); err != nil {
			return err
		}
		fmt.Printf("%s is %s's: answer the client\n", args[1], args[0])
	}
	return flow.publishOutbox(ctx) // and what earlier runs left
}

// createFlow keeps events in an outbox until Pub/Sub has them: a directory here;
// a table of the service's own database if it has one, written in the
// transaction that creates the thread.
type createFlow struct {
	registry  *registry.Registry
	publisher *pubsub.Publisher
	outbox    string
}

// create makes the tenant the thread's owner. When it returns nil, the client may
// connect. After registry.ErrConflict another tenant has the id; after an
// *events.Refusal the id or the tenant does not match its pattern. Then nothing is
// left. After any other error the event may be in the outbox, and repeating is
// harmless.
func (f createFlow) create(ctx context.Context, tenant, thread string) error {
	event := events.Event{
		ID:     "thread-created-" + thread, // the same at every try
		Source: "//nexus/threads",
		Time:   time.Now(),
		Data:   events.ThreadCreated{TenantID: tenant, ThreadID: thread},
	}
	if _, _, err := events.Encode(event); err != nil { // before the ids become a file's name
		return err
	}
	line, err := event.MarshalJSON()
	if err != nil {
		return err
	}
	file := filepath.Join(f.outbox, tenant+"."+thread+".json")
	if _, err := os.Stat(file); err != nil { // if the file exists, the event of an earlier try waits in it, with its time
		if err := errors.Join(os.WriteFile(file+".new", line, 0o600), os.Rename(file+".new", file)); err != nil {
			return err
		}
	}
	err = f.registry.RegisterThread(ctx, tenant, thread)
	if errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrInvalid) {
		return errors.Join(err, os.Remove(file))
	}
	return err
}

// publishOutbox publishes what was not confirmed yet. Twice is harmless: the same
// source, the same id. A file that is not an event stays, and holds up nothing.
func (f createFlow) publishOutbox(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(f.outbox, "*.json"))
	if err != nil {
		return err
	}
	var faults []error
	for _, file := range files {
		err := f.publish(ctx, file)
		if err == nil {
			continue
		}
		faults = append(faults, fmt.Errorf("%s waits in the outbox: %w", file, err))
		if refusal := (*events.Refusal)(nil); !errors.As(err, &refusal) {
			break // without Pub/Sub the others would fail too
		}
	}
	return errors.Join(faults...)
}

// publish publishes the event in a file, and removes the file when Pub/Sub has it.
func (f createFlow) publish(ctx context.Context, file string) error {
	line, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	event, err := events.Decode(nil, line, time.Now()) // in structured mode
	if err != nil {
		return err
	}
	attributes, data, err := events.Encode(event)
	if err != nil {
		return err
	}
	if _, err := f.publisher.Publish(ctx, &pubsub.Message{Attributes: attributes, Data: data}).Get(ctx); err != nil {
		return err
	}
	return os.Remove(file)
}
