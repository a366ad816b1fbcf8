package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var publishCommand = command{
	Name:    "publish",
	Args:    "FILE…",
	Summary: "publish events from NDJSON files to their topics",
	Details: "Publishes one structured CloudEvent a line, to the topic of its type; - is standard\n" +
		"input, and .gz is unpacked. A line that is not an event is named on standard error as\n" +
		"file:line: reason: detail, and left out; the exit code is then 1. It stops at the\n" +
		"first event whose topic does not exist. Publishing again is harmless.",
	Examples: []string{
		"registry-worker publish --project my-project events.ndjson.gz",
		"generate-events | registry-worker publish --project my-project -",
	},
	Groups: []config.Group{config.ProjectGroup, config.EventsGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject},
	Run:    runPublish,
}

func runPublish(ctx context.Context, in *invocation) error {
	if len(in.Args) == 0 {
		return usagef("no FILE; - is standard input")
	}
	inputs := make([]namedFile, len(in.Args))
	for i, name := range in.Args {
		inputs[i] = namedFile{what: "FILE", name: name}
	}
	if err := in.distinct(inputs, nil); err != nil {
		return err
	}
	files, err := archive.Open(in.Args, in.Stdin)
	if err != nil {
		return err
	}
	in.tellTarget(in.pubsubTarget())
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	topics := eventTopics()
	missing, err := in.missingTopics(ctx, client, topics...)
	switch {
	case err != nil:
		return err
	case len(missing) == len(topics):
		return in.withoutTopics(missing...)
	}
	return in.publish(ctx, client, files, missing)
}

func (in *invocation) withoutTopics(missing ...string) error {
	return fmt.Errorf("project %s has no topic %s: `registry-worker provision` creates what is missing", in.Config.Project, strings.Join(missing, ", "))
}

func eventTopics() []string {
	var topics []string
	for _, t := range events.PublishedTypes() {
		topics = append(topics, t.Topic())
	}
	return topics
}

// publish publishes all lines, and reports the result. It stops at the first event
// that Pub/Sub does not take, after the client's own retries, or whose topic is
// missing: the next ones would fail too.
func (in *invocation) publish(ctx context.Context, client *pubsub.Client, files *archive.Reader, missing []string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &publication{invocation: in, files: files, missing: missing, progress: newProgress(in.Stderr, "event", "published"), stop: stop}
	publisher := pubsubadmin.NewPublisher(client)
	err := p.read(ctx, publisher)
	publisher.Close() // every event is confirmed now, or has failed
	p.progress.end(p.confirmed)
	switch {
	case p.failure != nil:
		return fmt.Errorf("%s not published: %w", counted(p.failed, "event", "events"), in.explainPubSub(p.failure))
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; publishing again from the start is harmless")
	case err != nil:
		return err
	case p.refused > 0:
		return fmt.Errorf("refused lines: %d, see above; published: %d", p.refused, p.confirmed)
	}
	return nil
}

// publication is one run of publish: lines go out in one goroutine, and are
// confirmed in another.
type publication struct {
	*invocation
	files   *archive.Reader
	missing []string // topics, in full
	stop    func()

	mu                         sync.Mutex
	progress                   *progress
	confirmed, refused, failed int
	failure                    error // the first one
}

func (p *publication) read(ctx context.Context, publisher *pubsubadmin.Publisher) error {
	for line, err := range p.files.Lines(ctx) {
		if err != nil {
			return err
		}
		event, err := p.decode(line)
		if err != nil {
			p.refuse(line, err)
			continue
		}
		if err := p.requireTopic(event.Type().Topic()); err != nil {
			return fmt.Errorf("%s:%d: %w", line.File, line.Number, err)
		}
		at := line // Text is no longer valid when the event is confirmed
		at.Text = nil
		if err := publisher.PublishLine(ctx, event, line.Text, func(err error) { p.confirm(at, err) }); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.refuse(line, err)
		}
	}
	return nil
}

func (p *publication) requireTopic(topic string) error {
	for _, name := range p.missing {
		if strings.HasSuffix(name, "/topics/"+topic) {
			return p.withoutTopics(name)
		}
	}
	return nil
}

// decode returns the event of a line, or why there is none to publish.
func (p *publication) decode(line archive.Line) (events.Event, error) {
	if line.Refusal != nil {
		return events.Event{}, line.Refusal
	}
	event, err := archived.Decode(line.Text, time.Now().Add(p.Config.MaxClockSkew))
	if err != nil {
		return events.Event{}, err
	}
	if event.Type().Topic() == "" {
		return events.Event{}, &events.Refusal{
			Reason: events.UnknownType,
			Detail: fmt.Sprintf("type: %s occurs in archives only: replay takes it", event.Type()),
		}
	}
	return event, nil
}

func (p *publication) refuse(line archive.Line, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused++
	p.progress.clear()
	fmt.Fprintf(p.Stderr, "%s:%d: %s\n", terminal.Quote(line.File), line.Number, terminal.Line(err.Error()))
}

func (p *publication) confirm(line archive.Line, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.confirmed++
		read, total := p.files.Position()
		p.progress.at(p.confirmed, read, total)
		return
	}
	if p.failed++; p.failure == nil {
		p.failure = fmt.Errorf("%s:%d: %w", line.File, line.Number, err)
		p.stop()
	}
}
