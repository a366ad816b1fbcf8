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
	Summary: "print all moves of whole tenants, and how far their rewriting is",
	Details: "Prints every move in the order in which they count, retracted ones too. For\n" +
		"verifiers a move counts, or is retracted, at once; readers that know the documents\n" +
		"only see it when its rewriting is done. One that fails over and over is parked:\n" +
		"the others go on, and moves resume takes it up.\n\n" +
		"A row that is displaced stands below the move that has its name now: it counted\n" +
		"until that one came, with an earlier time. Find out which of the two is true, and\n" +
		"publish what is missing under an id of its own.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves list --project my-project --json",
	},
	Groups: []config.Group{config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesList,
}

func runMovesList(ctx context.Context, in *invocation) error {
	return in.withStore(ctx, func(store registryStore) error {
		all, err := store.Moves(ctx)
		if err != nil {
			return err
		}
		pending, err := rewrite.Planner{Store: store, Rate: in.Config.Rate}.Pending(ctx, all)
		if err != nil {
			return err
		}
		left := map[int64]rewrite.Pending{} // by position in the ledger
		for _, p := range pending {
			left[p.Move.Position] = p
		}
		if in.Config.JSON {
			return printMovesJSON(in, all, left)
		}
		if len(all) == 0 {
			fmt.Fprintf(in.Stderr, "no moves of whole tenants in %s\n", in.firestoreTarget())
			return nil
		}
		t := terminal.NewTable(in.Stdout, "TIME", "FROM", "TO", "STATE", "REWRITING", "ID", "SOURCE", "ACTOR", "REASON")
		for _, m := range all {
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
		for _, m := range all {
			if m.Unread != nil {
				fmt.Fprintf(in.Stderr, "%s: %s\n", terminal.Quote(m.ID), terminal.Line(m.Unread.Error()))
			}
		}
		return nil
	})
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

// rewritingText says how far a job is, and how long it takes at least.
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

// listedMove is a move as `moves list --json` has it.
type listedMove struct {
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Time        *time.Time      `json:"time"` // null if only its retraction has arrived
	From        string          `json:"from"`
	To          string          `json:"to"`
	Position    int64           `json:"position"`
	ChangedAt   time.Time       `json:"changed_at"`
	Actor       string          `json:"actor,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Retracted   bool            `json:"retracted"`
	RetractedBy string          `json:"retracted_by,omitempty"` // of the first retraction, as RetractedAt
	RetractedAt *time.Time      `json:"retracted_at,omitempty"`
	Retractions []listedSaid    `json:"retractions,omitempty"` // the first seen first
	Displaced   []step          `json:"displaced,omitempty"`   // what had this name before, and counts no more
	Rewriting   listedRewriting `json:"rewriting"`
	Unread      string          `json:"unread,omitempty"` // why this version does not understand it
}

type listedSaid struct {
	By  string    `json:"by,omitempty"`
	Why string    `json:"reason,omitempty"`
	At  time.Time `json:"at"`
}

type listedRewriting struct {
	State      ownership.RewritingState `json:"state"`
	LastPass   bool                     `json:"last_pass"`
	Documents  int64                    `json:"documents"`
	Passed     int64                    `json:"passed"`
	Read       int64                    `json:"read"`
	Written    int64                    `json:"written"`
	Holder     string                   `json:"holder,omitempty"`
	StartedAt  *time.Time               `json:"started_at,omitempty"`
	UpdatedAt  *time.Time               `json:"updated_at,omitempty"`
	FinishedAt *time.Time               `json:"finished_at,omitempty"`
	// Of jobs that failed: runs in a row, why the last one did, and when it is tried
	// again, or since when it is parked.
	Tries    int64      `json:"tries,omitempty"`
	Failure  string     `json:"failure,omitempty"`
	RetryAt  *time.Time `json:"retry_at,omitempty"`
	ParkedAt *time.Time `json:"parked_at,omitempty"`
	// Of jobs that have not ended: until it has, at least, with those before it.
	LeftSeconds *float64 `json:"left_seconds,omitempty"`
}

func printMovesJSON(in *invocation, all []ownership.LedgerEntry, left map[int64]rewrite.Pending) error {
	lines := terminal.JSON(in.Stdout)
	for _, m := range all {
		listed := newListedMove(m)
		if p, ok := left[m.Position]; ok {
			seconds := p.Left.Seconds()
			listed.Rewriting.Documents, listed.Rewriting.LeftSeconds = p.Documents, &seconds
		}
		if err := lines.Encode(listed); err != nil {
			return err
		}
	}
	return nil
}

func newListedMove(m ownership.LedgerEntry) listedMove {
	r := m.Rewriting
	listed := listedMove{
		ID: m.ID, Source: m.Source, Time: unlessZero(m.Time), From: m.From, To: m.To, Position: m.Position, ChangedAt: m.ChangedAt,
		Actor: m.Actor, Reason: m.Reason, Retracted: m.Retracted(), Displaced: displacedSteps(m.Displaced),
		Rewriting: listedRewriting{r.State, r.Last, r.Total, r.Passed, r.Read, r.Written, r.Holder,
			unlessZero(r.StartedAt), unlessZero(r.UpdatedAt), unlessZero(r.FinishedAt),
			r.Tries, r.Failure, unlessZero(r.RetryAt), unlessZero(r.ParkedAt), nil},
	}
	if m.Unread != nil {
		listed.Unread = m.Unread.Error()
	}
	for _, said := range m.Retractions {
		listed.Retractions = append(listed.Retractions, listedSaid{said.By, said.Why, said.At})
	}
	if m.Retracted() {
		listed.RetractedBy, listed.RetractedAt = m.Retractions[0].By, &m.Retractions[0].At
	}
	return listed
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
