package main

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersCommand = command{
	Name:    "dead-letters",
	Summary: "look at refused messages, or publish them again",
	Details: "Messages that the worker refused wait in the subscription of --dead-letter-topic,\n" +
		"for 31 days: the longest that Pub/Sub keeps a message.",
	Examples: []string{
		"registry-worker dead-letters list --project my-project",
		"registry-worker dead-letters redrive --project my-project",
	},
	Sub: []command{deadLettersListCommand, deadLettersRedriveCommand},
}

var deadLettersListCommand = command{
	Name:    "dead-letters list",
	Summary: "print refused messages without consuming them",
	Details: "Prints why each message was refused, the oldest first. None is consumed: they are\n" +
		"leased while this runs, and come back at its end. Text of strangers is quoted if\n" +
		"it is not plain, and shortened; --json has all of it.",
	Examples: []string{
		"registry-worker dead-letters list --project my-project",
		"registry-worker dead-letters list --project my-project --json",
	},
	Groups: []config.Group{config.JSONGroup, config.ProjectGroup, config.PubSubGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject},
	Run:    runDeadLettersList,
}

func runDeadLettersList(ctx context.Context, in *invocation) error {
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Fprintln(in.Stderr, "looking for dead letters until none has come for", pubsubadmin.DefaultIdle)
	letters, more, err := pubsubadmin.ListDeadLetters(ctx, client, in.Config.DeadLetterTopic, pubsubadmin.ListOptions{})
	if err != nil {
		return in.explainPubSub(err)
	}
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		for _, l := range letters {
			if err := lines.Encode(l); err != nil {
				return err
			}
		}
	} else if len(letters) > 0 {
		t := terminal.NewTable(in.Stdout, "REFUSED", "REASON", "DETAIL", "EVENT", "SUBSCRIPTION", "MESSAGE")
		for _, l := range letters {
			t.Row(l.RefusedAt.Format(time.RFC3339), string(l.Reason), l.Detail, l.EventID, l.Subscription, l.MessageID)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	and := ""
	if more {
		and = ", and there are more"
	}
	fmt.Fprintf(in.Stderr, "%d dead letters%s\n", len(letters), and)
	return nil
}

var deadLettersRedriveCommand = command{
	Name:    "dead-letters redrive",
	Summary: "publish refused messages again to the topics they came from",
	Details: "Each is published as it was, and leaves the dead letters once its topic has\n" +
		"confirmed it. One that is refused again comes back. Repeating is harmless.",
	Examples: []string{"registry-worker dead-letters redrive --project my-project"},
	Groups:   []config.Group{config.ProjectGroup, config.PubSubGroup, config.LogGroup},
	Rules:    []config.Rule{config.NeedProject},
	Run:      runDeadLettersRedrive,
}

func runDeadLettersRedrive(ctx context.Context, in *invocation) error {
	in.tellTarget(in.pubsubTarget())
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Fprintln(in.Stderr, "looking for dead letters until none has come for", pubsubadmin.DefaultIdle)
	progress := newProgress(in.Stderr, "dead letters published again")
	report, err := pubsubadmin.Redrive(ctx, client, in.Config.DeadLetterTopic, pubsubadmin.RedriveOptions{
		Progress: func(r pubsubadmin.RedriveReport) { progress.at(r.Redriven, 0, -1) },
	})
	progress.end(report.Redriven)
	if report.Again > 0 {
		fmt.Fprintf(in.Stderr, "%d of them were refused again\n", report.Again)
	}
	if report.Left > 0 {
		fmt.Fprintf(in.Stderr, "%d are left\n", report.Left)
	}
	if err != nil {
		return in.explainPubSub(err)
	}
	return nil
}
