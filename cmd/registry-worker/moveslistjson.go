package main

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// listedMove is a move in the form of `moves list --json`.
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
	Displaced   []step          `json:"displaced,omitempty"`   // the move that had this name before, and no longer counts
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
	// For jobs that failed: failed runs in a row, why the last one failed, and when
	// it is tried again, or since when it is parked.
	Tries    int64      `json:"tries,omitempty"`
	Failure  string     `json:"failure,omitempty"`
	RetryAt  *time.Time `json:"retry_at,omitempty"`
	ParkedAt *time.Time `json:"parked_at,omitempty"`
	// For jobs that have not ended: the least time until it has, with those before
	// it.
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
