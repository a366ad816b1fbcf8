package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var movesVerifyCommand = command{
	Name:    "moves verify",
	Args:    "ID",
	Summary: "say what a move has come to, by every document that it concerns",
	Details: "Says whether the move counts, and how far its rewriting is. Then it reads every\n" +
		"document of its tenants: how many resources changed hands by it, how many of them have\n" +
		"moved on since, what the old owner has, and whether each document has the right owner.\n" +
		"For a retracted move it says the same: nothing should be left of it. Exit code 1 as\n" +
		"long as something is not as it should be; with --wait it waits for the rewriting\n" +
		"first.\n\n" +
		"A move that named resources is not in moves list: it needs --from and --to.",
	Examples: []string{
		"registry-worker moves verify --project my-project merger-2026 --wait",
		"registry-worker moves verify --project my-project canvases-2026 --from t_old --to t_new --json",
	},
	Groups: []config.Group{
		config.WaitGroup, config.MoveGroup, config.PlanGroup, config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup,
	},
	Rules: movesRules,
	Run:   runMovesVerify,
}

func runMovesVerify(ctx context.Context, in *invocation) error {
	if len(in.Args) != 1 {
		return usagef("want the event id of one move")
	}
	return in.withStore(ctx, func(store registryStore) error {
		found, err := in.verify(ctx, store, in.Args[0])
		if err != nil {
			return err
		}
		if in.Config.JSON {
			err = terminal.JSON(in.Stdout).Encode(found)
		} else {
			err = found.print(in.Stdout)
		}
		if err == nil && !found.OK {
			err = errNotVerified
		}
		return err
	})
}

// errNotVerified ends a command that has printed the result already.
var errNotVerified = errors.New("the move is not as it should be")

// verified is the result of a move, in the form of `moves verify --json`.
type verified struct {
	OK        bool            `json:"ok"`
	ID        string          `json:"id"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	Actor     string          `json:"actor,omitempty"`
	Why       string          `json:"reason,omitempty"`
	State     string          `json:"state"`               // counts, retracted, named (it names resources, and is not in the ledger)
	Said      string          `json:"retracted,omitempty"` // by whom, when and why
	Rewriting string          `json:"rewriting,omitempty"` // in words
	Threads   int64           `json:"threads"`             // that changed hands by it
	Canvases  int64           `json:"canvases"`
	Elsewhere int64           `json:"elsewhere"`       // of these, now another tenant's
	Left      int64           `json:"left"`            // resources of the old owner
	Stale     int64           `json:"stale_documents"` // whose tenant_id is not the owner
	Sample    []plannedChange `json:"stale_sample,omitempty"`
	Unread    int64           `json:"unread_documents"`
	ReadTime  *time.Time      `json:"read_time,omitempty"` // null if no document was read
	Next      string          `json:"next,omitempty"`      // what to do
}

// verify finds the move, waits for its rewriting if asked to, and, once the
// rewriting has ended, reads its documents.
func (in *invocation) verify(ctx context.Context, store registryStore, id string) (verified, error) {
	v := verified{ID: id, From: in.Config.From, To: in.Config.To, State: "named"}
	move, err := in.awaitRewriting(ctx, store, id)
	switch {
	case errors.Is(err, errNoSuchMove) && (v.From == "" || v.To == ""):
		return v, fmt.Errorf("%w; if it named resources, give its --from and --to", err)
	case errors.Is(err, errNoSuchMove):
	case err != nil:
		return v, err
	case move.Unread != nil:
		return v, move.Unread
	default:
		v.From, v.To, v.Actor, v.Why, v.State = move.From, move.To, move.Actor, move.Reason, "counts"
		if move.Retracted() {
			v.State, v.Said = "retracted", moveState(move)
		}
		if v.Rewriting, err = in.rewritingOf(ctx, store, move); err != nil {
			return v, err
		}
		switch r := move.Rewriting; {
		case r.Parked():
			v.Next = in.commandOn("moves resume", move)
			return v, nil
		case r.State != ownership.RewritingDone:
			v.Next = in.verifyAndWait(move)
			return v, nil
		}
	}
	seen, err := in.planner(store).Verify(ctx, rewrite.MoveID{Source: move.Source, ID: id}, v.From, v.To)
	if err != nil {
		return v, err
	}
	v.add(seen)
	return v, nil
}

func (v *verified) add(seen rewrite.Verification) {
	v.Threads, v.Canvases = seen.Moved[registry.Thread], seen.Moved[registry.Canvas]
	v.Elsewhere, v.Left, v.Stale, v.Unread, v.ReadTime = seen.Elsewhere, seen.Left, seen.Stale, seen.Unread, &seen.ReadTime
	for _, c := range seen.Sample {
		v.Sample = append(v.Sample, plannedChange{c.Resource.Kind, c.Resource.ID, c.From, c.To, c.Plain})
	}
	switch {
	case v.Unread > 0:
		v.Next = "use the release that wrote these documents (docs/upgrades.md)"
	case v.Stale > 0:
		v.Next = programName + " moves list says whether another rewriting is to come; if none is, " + programName + " export --check names the documents"
	case v.State == "named" && v.Threads+v.Canvases == 0:
		v.Next = "no resource changed hands by a move with this id: look at the id and the tenants"
	default:
		v.OK = true
	}
}

// awaitRewriting returns the move; with --wait, once its rewriting has ended or was
// given up.
func (in *invocation) awaitRewriting(ctx context.Context, store registryStore, id string) (ownership.LedgerEntry, error) {
	move, err := in.findMove(ctx, store, id)
	for {
		if err != nil || !in.Config.Wait || move.Unread != nil || move.Rewriting.Parked() || move.Rewriting.State == ownership.RewritingDone {
			return move, err
		}
		text, err := in.rewritingOf(ctx, store, move)
		if err != nil {
			return move, err
		}
		fmt.Fprintln(in.Stderr, text)
		select {
		case <-time.After(waitEvery):
		case <-ctx.Done():
			return move, ctx.Err()
		}
		var again []ownership.LedgerEntry
		if again, err = store.MovesNamed(ctx, []ownership.EventName{move.EventName()}); err == nil && len(again) == 1 {
			move = again[0]
		}
	}
}

// waitEvery is how often --wait reads the job: as often as workers save their
// progress.
const waitEvery = 2 * time.Second

func (in *invocation) rewritingOf(ctx context.Context, store registryStore, move ownership.LedgerEntry) (string, error) {
	pending, err := rewrite.Planner{Store: store, Rate: in.Config.Rate}.Pending(ctx, []ownership.LedgerEntry{move})
	if err != nil {
		return "", err
	}
	var left rewrite.Pending
	if len(pending) > 0 {
		left = pending[0]
	}
	return rewritingText(move.Rewriting, left), nil
}

func (v verified) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: from %s to %s", terminal.Quote(v.ID), terminal.Quote(v.From), terminal.Quote(v.To))
	if v.Actor != "" || v.Why != "" {
		fmt.Fprintf(out, ", by %s: %s", terminal.Quote(orDash(v.Actor)), terminal.Quote(orDash(v.Why)))
	}
	switch v.State {
	case "counts":
		fmt.Fprint(out, "\n  it counts, for every verifier")
	case "retracted":
		fmt.Fprintf(out, "\n  it is %s", v.Said)
	case "named":
		fmt.Fprint(out, "\n  it names its resources")
	}
	if v.Rewriting != "" {
		fmt.Fprintf(out, "\n  rewriting of documents: %s", v.Rewriting)
	}
	if v.ReadTime != nil {
		fmt.Fprintf(out, "\n  %s and %s changed hands by it, %d of them another's by now\n", count(v.Threads, registry.Thread), count(v.Canvases, registry.Canvas), v.Elsewhere)
		fmt.Fprintf(out, "  %s has %s\n", terminal.Quote(v.From), counted(v.Left, "resource", "resources"))
		fmt.Fprintf(out, "  %s another tenant_id than the owner; %s cannot be told of\n", counted(v.Stale, "document says", "documents say"), counted(v.Unread, "document", "documents"))
		for _, c := range v.Sample {
			fmt.Fprintf(out, "    %s: %s, owned by %s\n", terminal.Quote(string(c.Kind)+"/"+c.ID), terminal.Quote(orDash(c.From)), terminal.Quote(c.To))
		}
		fmt.Fprintf(out, "  as of %s", v.ReadTime.Format(time.RFC3339Nano))
	}
	verdict := "verified"
	if !v.OK {
		verdict = "not verified"
	}
	fmt.Fprintf(out, "\n%s", verdict)
	if v.Next != "" {
		fmt.Fprintf(out, "; next: %s", v.Next)
	}
	_, err := fmt.Fprintln(out)
	return err
}
