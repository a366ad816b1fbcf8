package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersRedriveCommand = command{
	Name:    "dead-letters redrive",
	Summary: "publish refused messages again to the topics they came from",
	Details: "Counts the selected letters, asks (or --yes), and publishes each as it was. A letter\n" +
		"leaves the dead letters only once its topic has confirmed it, so none is lost if this\n" +
		"is stopped or killed; repeating is harmless. Letters that come while it asks are not\n" +
		"published. Who did it (--by) and why (--comment) are kept: see dead-letters history.\n\n" +
		"A message that is refused again comes back, and its attributes say how often it was\n" +
		"published again (registry-redrives) and by whom (registry-redriven-by). After\n" +
		"--max-redrives it is left: fix the reason for its refusal, publish its event anew, and\n" +
		"purge it. A letter from a subscription that is none of --subscriptions is left too.\n\n" +
		"With --json it prints a line for each selected letter: what was done with it, to which\n" +
		"topic, or why it was left.\n\n" + leasing,
	Examples: []string{
		"registry-worker dead-letters redrive --project my-project --reason unknown_type --dry-run",
		"registry-worker dead-letters redrive --project my-project --reason unknown_type --limit 10",
		"registry-worker dead-letters redrive --project my-project --after 24h --yes",
	},
	Groups: letterGroups(config.RedriveGroup, config.ByGroup, config.CommentGroup, config.RegistryGroup, config.DryRunGroup, config.ConfirmGroup),
	Rules:  []config.Rule{config.NeedProject, needRecords},
	Run:    runDeadLettersRedrive,
}

func runDeadLettersRedrive(ctx context.Context, in *invocation) error {
	return in.askAboutLetters(ctx, actions.Redrive, "publish %s again?", func(ctx context.Context, client *pubsub.Client, which pubsubadmin.Selection, lines, dry bool) (pubsubadmin.Tally, error) {
		report, err := in.redrive(ctx, client, which, lines, dry)
		if dry && !in.Config.DryRun && report.Total > 0 {
			err = nil // it has said which letters cannot be published; the others can
		}
		return report.Tally, err
	})
}

// redrive publishes the letters again, or only says what it would do, and reports
// the result.
func (in *invocation) redrive(ctx context.Context, client *pubsub.Client, which pubsubadmin.Selection, lines, dry bool) (pubsubadmin.RedriveReport, error) {
	options := pubsubadmin.RedriveOptions{
		Selection: which, MaxRedrives: in.Config.MaxRedrives, By: in.who(), DryRun: dry,
	}
	for _, name := range in.Config.Subscriptions {
		options.To = append(options.To, subscription.Short(name))
	}
	var printing error
	if lines {
		out := terminal.JSON(in.Stdout)
		options.Each = func(l pubsubadmin.DeadLetter, topic string, left error) {
			printing = errors.Join(printing, out.Encode(newFate(l, topic, left, dry)))
		}
	}
	done := "published again"
	if dry {
		done = "would be published again"
	}
	progress := newProgress(in.Stderr, "dead letter", done)
	options.Progress = func(r pubsubadmin.RedriveReport) { progress.at(r.Total, 0, -1) }
	report, err := pubsubadmin.Redrive(ctx, client, in.Config.DeadLetterTopic, options)
	if !dry {
		progress.end(report.Total)
	} else {
		progress.clear()
		fmt.Fprintln(in.Stderr, progress.counted(report.Total))
		if !lines {
			printing = printSorts(in.Stderr, report.Tally)
		}
	}
	in.tellRedrive(report)
	if err != nil {
		return report, in.explainPubSub(err)
	}
	return report, printing
}

// tellRedrive says which letters were not published, and what to do next.
func (in *invocation) tellRedrive(r pubsubadmin.RedriveReport) {
	if r.Again > 0 {
		fmt.Fprintf(in.Stderr, "%d of them were refused again so far: `%s dead-letters count` says why\n", r.Again, programName)
	}
	if r.Exhausted > 0 {
		fmt.Fprintf(in.Stderr, "%s left after %d redrives without success: fix the reason for the refusal, and purge the letters; or raise --max-redrives\n",
			are(r.Exhausted), in.Config.MaxRedrives)
	}
	if r.Left > 0 {
		fmt.Fprintf(in.Stderr, "%s left that cannot be published again\n", are(r.Left))
	}
	in.tellExtent(r.Extent, time.Time{})
}

func are(n int) string {
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}

// fate is what became of a letter, in the form of --json.
type fate struct {
	Did    string                 `json:"did"` // redriven, left or purged; with --dry-run would_redrive, would_leave or would_purge
	Topic  string                 `json:"topic,omitempty"`
	Why    string                 `json:"why,omitempty"` // why it was left
	Letter pubsubadmin.DeadLetter `json:"letter"`
}

func newFate(l pubsubadmin.DeadLetter, topic string, left error, dry bool) fate {
	f := fate{Did: "redriven", Topic: topic, Letter: l}
	switch {
	case left != nil && dry:
		f.Did, f.Why = "would_leave", left.Error()
	case left != nil:
		f.Did, f.Why = "left", left.Error()
	case dry:
		f.Did = "would_redrive"
	}
	return f
}
