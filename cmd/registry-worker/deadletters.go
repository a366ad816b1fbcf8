package main

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersCommand = command{
	Name:    "dead-letters",
	Summary: "refused messages: count, list, publish again, discard",
	Details: "Messages that the worker refused wait in the subscription of --dead-letter-topic, for\n" +
		"31 days: the longest that Pub/Sub keeps a message. Begin with count: it says how many\n" +
		"there are of each sort, and what to do about them.",
	Examples: []string{
		"registry-worker dead-letters count --project my-project",
		"registry-worker dead-letters list --project my-project --reason conflict --after 24h",
		"registry-worker dead-letters redrive --project my-project --reason unknown_type --dry-run",
		"registry-worker dead-letters purge --project my-project --reason malformed --before 168h",
	},
	Sub: []command{
		deadLettersCountCommand, deadLettersListCommand, deadLettersRedriveCommand, deadLettersPurgeCommand, deadLettersHistoryCommand,
	},
}

// letterGroups are the settings of every command on dead letters.
func letterGroups(more ...config.Group) []config.Group {
	return append([]config.Group{config.LetterGroup, config.JSONGroup, config.ProjectGroup, config.PubSubGroup, config.LogGroup}, more...)
}

// leasing says what all of these commands do to the letters that they look at.
const leasing = "While it runs, the letters that it looks at are leased, so that no other of these\n" +
	"commands sees them; they come back at its end, or within 20 s after a kill."

// letters returns the selection of dead letters by the flags.
func (in *invocation) letters() pubsubadmin.Selection {
	s := pubsubadmin.Selection{
		Reasons: in.Config.LetterReasons, Subscriptions: in.Config.LetterSubscriptions,
		After: in.Config.After, Before: in.Config.Before, Limit: in.Config.Limit,
	}
	for _, t := range in.Config.LetterTypes {
		s.Types = append(s.Types, events.Type(t))
	}
	if in.Config.LetterID != "" {
		s.IDs = []string{in.Config.LetterID}
	}
	return s
}

// withLetters calls f with a client, and says how long it looks for letters.
func (in *invocation) withLetters(ctx context.Context, f func(*pubsub.Client) error) error {
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Fprintln(in.Stderr, "looking for dead letters until none has come for", pubsubadmin.DefaultIdle, "or, if they come slowly, longer")
	return f(client)
}

// tellExtent says which letters were not looked at, and until when letters are
// kept.
func (in *invocation) tellExtent(e pubsubadmin.Extent, oldest time.Time) {
	if e.More {
		fmt.Fprintln(in.Stderr, "there are more")
	}
	switch {
	case oldest.IsZero():
	case e.Kept == 0:
		fmt.Fprintf(in.Stderr, "letters are kept for %s after they were refused, if `%s provision` made the subscription\n",
			subscription.Days(subscription.DeadLetterRetention), programName)
	default:
		fmt.Fprintf(in.Stderr, "letters are kept for %s after they were refused: the oldest of these until %s\n",
			subscription.Days(e.Kept), oldest.Add(e.Kept).Format(time.RFC3339))
		if in.onPubSubEmulator() {
			fmt.Fprintf(in.Stderr, "(the emulator keeps them no longer; Pub/Sub does for %s)\n", subscription.Days(subscription.DeadLetterRetention))
		}
	}
}

var deadLettersListCommand = command{
	Name:    "dead-letters list",
	Summary: "print refused messages without consuming them",
	Details: "Prints why each message was refused, the oldest first. If there are more than --limit,\n" +
		"Pub/Sub chooses which. None is consumed. Text of strangers is quoted if it is not\n" +
		"plain, and shortened; --json has all of it, a line each. REDRIVES is how often a\n" +
		"message was published again, and refused again.\n\n" + leasing,
	Examples: []string{
		"registry-worker dead-letters list --project my-project",
		"registry-worker dead-letters list --project my-project --reason conflict,history_full --after 24h",
		"registry-worker dead-letters list --project my-project --id e-4711 --json",
	},
	Groups: letterGroups(),
	Rules:  []config.Rule{config.NeedProject},
	Run:    runDeadLettersList,
}

func runDeadLettersList(ctx context.Context, in *invocation) error {
	return in.withLetters(ctx, func(client *pubsub.Client) error {
		letters, extent, err := pubsubadmin.ListDeadLetters(ctx, client, in.Config.DeadLetterTopic, in.letters())
		if err != nil {
			return in.explainPubSub(err)
		}
		if err := in.printLetters(letters); err != nil {
			return err
		}
		fmt.Fprintln(in.Stderr, counted(len(letters), "dead letter", "dead letters"))
		var oldest time.Time
		if len(letters) > 0 {
			oldest = letters[0].RefusedAt
		}
		in.tellExtent(extent, oldest)
		return nil
	})
}

// listedLetter is a letter as `dead-letters list --json` has it.
type listedLetter struct {
	pubsubadmin.DeadLetter
	Next string `json:"next,omitempty"` // what to do
}

func (in *invocation) printLetters(letters []pubsubadmin.DeadLetter) error {
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		for _, l := range letters {
			if err := lines.Encode(listedLetter{l, nextOf[l.Reason]}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(letters) == 0 {
		return nil
	}
	t := terminal.NewTable(in.Stdout, "REFUSED", "REASON", "REDRIVES", "EVENT", "ABOUT", "SUBSCRIPTION", "MESSAGE", "DETAIL")
	for _, l := range letters {
		t.Row(l.RefusedAt.Format(time.RFC3339), string(l.Reason), fmt.Sprint(l.Redrives), l.EventID, l.About, l.Subscription, l.MessageID, l.Detail)
	}
	return t.Flush()
}
