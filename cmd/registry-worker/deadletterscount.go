package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersCountCommand = command{
	Name:    "dead-letters count",
	Summary: "count refused messages by reason, type and subscription, and say what to do",
	Details: "Counts the dead letters of each sort, and says what to do about them. None is\n" +
		"consumed. REDRIVEN is how many of them were published again before.\n\n" + leasing,
	Examples: []string{
		"registry-worker dead-letters count --project my-project",
		"registry-worker dead-letters count --project my-project --after 24h --json",
	},
	Groups: letterGroups(),
	Rules:  []config.Rule{config.NeedProject},
	Run:    runDeadLettersCount,
}

func runDeadLettersCount(ctx context.Context, in *invocation) error {
	return in.withLetters(ctx, func(client *pubsub.Client) error {
		tally, err := pubsubadmin.CountDeadLetters(ctx, client, in.Config.DeadLetterTopic, in.letters())
		if err != nil {
			return in.explainPubSub(err)
		}
		if in.Config.JSON {
			return terminal.JSON(in.Stdout).Encode(newCountedLetters(tally))
		}
		if err := printSorts(in.Stdout, tally); err != nil {
			return err
		}
		printAdvice(in.Stdout, tally)
		fmt.Fprintln(in.Stderr, counted(tally.Total, "dead letter", "dead letters"))
		in.tellExtent(tally.Extent, tally.Oldest)
		return nil
	})
}

func printSorts(out io.Writer, tally pubsubadmin.Tally) error {
	if tally.Total == 0 {
		return nil
	}
	t := terminal.NewTable(out, "COUNT", "REASON", "TYPE", "SUBSCRIPTION", "REDRIVEN", "OLDEST", "NEWEST")
	for _, s := range tally.Sorts {
		t.Row(fmt.Sprint(s.Count), string(s.Reason), string(s.Type), s.Subscription, fmt.Sprint(s.Redriven),
			s.Oldest.Format(time.RFC3339), s.Newest.Format(time.RFC3339))
	}
	return t.Flush()
}

// printAdvice says what to do about each reason that occurs.
func printAdvice(out io.Writer, tally pubsubadmin.Tally) {
	told := map[events.Reason]bool{}
	for _, s := range tally.Sorts {
		if text := nextOf[s.Reason]; text != "" && !told[s.Reason] {
			told[s.Reason] = true
			fmt.Fprintf(out, "\n%s: %s\n", s.Reason, text)
		}
	}
}

// nextOf returns what to do about dead letters of a reason.
var nextOf = map[events.Reason]string{
	events.Malformed:     "no event that can be read. Fix the publisher, and have it publish the event anew; then purge.",
	events.Schema:        "an event with a field that is missing or wrong, which DETAIL in `dead-letters list` names. Fix the publisher, and have it publish the event anew; then purge.",
	events.UnknownType:   "a type that this release does not know, or that does not belong to the subscription. Bring all workers to the release that knows it, or name it in --accept; then redrive.",
	events.ForeignSource: "a source that --sources does not allow to send this type. If it should be, add it and redrive; if not, the wrong program is publishing (docs/security.md): revoke that, then purge.",
	events.TooLarge:      "more data than 256 KiB. Fix the publisher; then purge.",
	events.FromFuture:    "the publisher's clock was ahead. Set it right; once the event's time has come, redrive.",
	events.FromPast:      "older than --max-event-age allows. If the publisher was only late, raise it and redrive; if not, a publisher backdates events (docs/security.md).",
	events.Conflict:      "another tenant has it, or the id said something else before. `inspect` and `moves list` show what counts. Publish what is true under an id of its own; then purge. A redrive is refused again.",
	events.HistoryFull:   "the resource was moved too often. `inspect` shows its moves: if strangers made them, see docs/security.md. A redrive is refused again.",
	events.Panic:         "a defect of the worker, which its log has. Report it; bring all workers to a release without it, then redrive.",
}

// countedLetters is a tally in the form of `dead-letters count --json`.
type countedLetters struct {
	Total       int           `json:"total"`
	More        bool          `json:"more"`                   // there are more than were looked at
	KeptSeconds float64       `json:"kept_seconds,omitempty"` // after they were refused; absent if it is not known
	Oldest      *time.Time    `json:"oldest,omitempty"`
	Sorts       []countedSort `json:"sorts"`
}

type countedSort struct {
	Count        int           `json:"count"`
	Reason       events.Reason `json:"reason"`
	Type         events.Type   `json:"type,omitempty"`
	Subscription string        `json:"subscription"`
	Redriven     int           `json:"redriven"` // of these, published again before
	Oldest       time.Time     `json:"oldest"`
	Newest       time.Time     `json:"newest"`
	Next         string        `json:"next,omitempty"` // what to do
}

func newCountedLetters(t pubsubadmin.Tally) countedLetters {
	all := countedLetters{t.Total, t.More, t.Kept.Seconds(), unlessZero(t.Oldest), []countedSort{}}
	for _, s := range t.Sorts {
		all.Sorts = append(all.Sorts, countedSort{s.Count, s.Reason, s.Type, s.Subscription, s.Redriven, s.Oldest, s.Newest, nextOf[s.Reason]})
	}
	return all
}
