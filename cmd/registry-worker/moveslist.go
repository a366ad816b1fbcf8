package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var movesListCommand = command{
	Name:    "moves list",
	Summary: "print moves of whole tenants, and how far their rewriting is",
	Details: "Prints the 50 moves that changed last, retracted ones too, the latest change first.\n" +
		"--limit, --tenant, --state, --since and --before select others; if there are more, the\n" +
		"last line says how to go on. Moves whose rewriting is pending are in the order of the\n" +
		"rewriting. TIME is when a move counts from: its event's time.\n\n" +
		"For verifiers a move counts, or is retracted, at once; readers of the raw documents\n" +
		"see it when its rewriting is done. A rewriting that fails over and over is parked: the\n" +
		"others go on, and moves resume takes it up again.\n\n" +
		"A displaced row stands below the move that has its name now: it counted until that one\n" +
		"came, with an earlier time. Find out which of the two is true, and publish what is\n" +
		"missing under an id of its own.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves list --project my-project --tenant t_old --limit 0 --json",
		"registry-worker moves list --project my-project --state parked",
	},
	Groups: []config.Group{config.ListGroup, config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesList,
}

func runMovesList(ctx context.Context, in *invocation) error {
	return in.withStore(ctx, func(store registryStore) error {
		wanted := in.moveFilter()
		page, err := wanted.page(ctx, store)
		if err != nil {
			return err
		}
		pending, err := rewrite.Planner{Store: store, Rate: in.Config.Rate}.Pending(ctx, page.moves)
		if err != nil {
			return err
		}
		left := map[int64]rewrite.Pending{} // by position in the ledger
		for _, p := range pending {
			left[p.Move.Position] = p
		}
		switch {
		case in.Config.JSON:
			err = printMovesJSON(in, page.moves, left)
		case len(page.moves) > 0:
			err = printMoves(in, page.moves, left)
		case wanted.all(""):
			fmt.Fprintf(in.Stderr, "no moves of whole tenants in %s\n", in.firestoreTarget())
		case wanted.all(config.MovePending):
			if err := in.needDocuments(ctx, store, ""); err != nil {
				return err
			}
			fmt.Fprintf(in.Stderr, "no move of a whole tenant is pending in %s: the documents have followed all\n", in.firestoreTarget())
		default:
			fmt.Fprintf(in.Stderr, "no such moves of whole tenants in %s\n", in.firestoreTarget())
		}
		if err == nil && page.next > 0 {
			fmt.Fprintf(in.Stderr, "there may be more: the same command with --behind %d goes on, --limit 0 prints all\n", page.next)
		}
		return err
	})
}

func printMoves(in *invocation, moves []ownership.LedgerEntry, left map[int64]rewrite.Pending) error {
	t := terminal.NewTable(in.Stdout, "TIME", "FROM", "TO", "STATE", "REWRITING", "ID", "SOURCE", "ACTOR", "REASON")
	for _, m := range moves {
		at := ""
		if !m.Time.IsZero() {
			at = m.Time.Format(time.RFC3339Nano)
		}
		t.Row(at, m.From, m.To, moveState(m), rewritingText(m.Rewriting, left[m.Position]), m.ID, m.Source, m.Actor, m.Reason)
		for _, d := range m.Displaced {
			t.Row(d.Time.Format(time.RFC3339Nano), d.From, d.To, "displaced, does not count", "", d.ID, d.Source, d.Actor, d.Reason)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range moves {
		if m.Unread != nil {
			fmt.Fprintf(in.Stderr, "%s: %s\n", terminal.Quote(m.ID), terminal.Line(m.Unread.Error()))
		}
	}
	return nil
}

func moveState(m ownership.LedgerEntry) string {
	if m.Unread != nil {
		return "not understood"
	}
	if !m.Retracted() {
		return "counts"
	}
	var all []string
	for _, said := range m.Retractions {
		text := "retracted " + said.At.Format(time.RFC3339)
		if said.By != "" {
			text += " by " + terminal.Quote(said.By)
		}
		if said.Why != "" {
			text += ": " + terminal.Quote(said.Why)
		}
		all = append(all, text)
	}
	const most = 3 // of a row; --json has all
	text := strings.Join(all[:min(most, len(all))], "; ")
	if more := len(all) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	if m.RetractionOnly {
		text += ", before it arrived"
	}
	return text
}

// rewritingText returns how far a job is, and how long it will take at least.
func rewritingText(r ownership.Rewriting, pending rewrite.Pending) string {
	left := pending.Left.Round(time.Second)
	switch {
	case r.State == ownership.RewritingDone && r.FinishedAt.IsZero():
		return "nothing to do"
	case r.State == ownership.RewritingDone:
		return fmt.Sprintf("done %s, %s written", r.FinishedAt.Format(time.RFC3339), counted(r.Written, "document", "documents"))
	case r.Parked():
		return fmt.Sprintf("parked %s after %d tries, at %s of %s: %s", r.ParkedAt.Format(time.RFC3339), r.Tries,
			counted(r.Passed, "document", "documents"), counted(r.Total, "document", "documents"), terminal.Quote(r.Failure))
	case r.StartedAt.IsZero():
		return fmt.Sprintf("queued: %s, %s left at least", counted(pending.Documents, "document", "documents"), left)
	}
	percent := int64(100)
	if pending.Documents > 0 {
		percent = min(100, 100*r.Passed/pending.Documents)
	}
	pass := "first pass"
	switch {
	case r.Last:
		pass = "last pass"
	case r.Passed >= pending.Documents:
		pass = "first pass ended, waiting for late commits"
	}
	text := fmt.Sprintf("%s: %s, %d of %d documents (%d%%), %d written, %s left at least", r.State, pass, r.Passed, pending.Documents,
		percent, r.Written, left)
	if r.Tries > 0 {
		text += fmt.Sprintf("; failed %d times, again at %s: %s", r.Tries, r.RetryAt.Format(time.RFC3339), terminal.Quote(r.Failure))
	}
	return text
}
