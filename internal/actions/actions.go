// Package actions keeps what operators did to dead letters: who, why, which letters
// they meant, and how many it came to. What was discarded is gone from Pub/Sub: this is
// what is left of it.
//
// An action is noted before it begins, and again at its end. One without an end is
// under way, or was killed.
package actions

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Collection is where the documents are, the latest first by name. Fields:
//
//	did, by, comment, which  text
//	began_at, ended_at       by the database's clock
//	letters                  number
//	reasons                  map of numbers: letters by the reason of their refusal
//	failure                  text, of what ended in an error
//	format                   1
const Collection = "realtime_registry_actions"

// What operators do to dead letters.
const (
	Redrive = "redrive"
	Purge   = "purge"
)

// Action is what an operator did.
type Action struct {
	Did     string    `json:"did"` // redrive or purge
	By      string    `json:"by"`
	Comment string    `json:"comment,omitempty"` // why
	Which   string    `json:"which,omitempty"`   // the flags that selected letters; "": all
	Began   time.Time `json:"began_at"`
	// What it came to; EndedAt is nil of what is under way, or was killed.
	Ended   *time.Time     `json:"ended_at"`
	Letters int            `json:"letters"`
	Reasons map[string]int `json:"reasons,omitempty"` // of these, by the reason of their refusal
	Failure string         `json:"failure,omitempty"`
}

// Begin notes what is about to be done, and returns the name of the note.
func Begin(ctx context.Context, db docdb.DB, a Action) (name string, err error) {
	// Later ones have smaller names, since a query by name goes up.
	name = db.Name(Collection, fmt.Sprintf("%019d-%s", math.MaxInt64-time.Now().UnixNano(), uuid.NewString()[:8]))
	_, err = db.Commit(ctx, docdb.Write{Name: name, If: docdb.Absent, Times: []string{"began_at"}, Fields: map[string]*docdb.Value{
		"did": docdb.Text(a.Did), "by": docdb.Text(a.By), "comment": docdb.Text(a.Comment), "which": docdb.Text(a.Which), "format": docdb.Integer(1),
	}})
	if err != nil {
		return "", fmt.Errorf("note what is to be done: %w", err)
	}
	return name, nil
}

// End notes what an action came to: its Letters, Reasons and Failure.
func End(ctx context.Context, db docdb.DB, name string, a Action) error {
	reasons := map[string]*docdb.Value{}
	for reason, n := range a.Reasons {
		reasons[reason] = docdb.Integer(int64(n))
	}
	w := docdb.Write{
		Name: name, Mask: []string{"letters", "reasons", "failure"}, Times: []string{"ended_at"},
		Fields: map[string]*docdb.Value{"letters": docdb.Integer(int64(a.Letters)), "reasons": docdb.Map(reasons)},
	}
	if a.Failure != "" {
		w.Fields["failure"] = docdb.Text(a.Failure)
	}
	if _, err := db.Commit(ctx, w); err != nil {
		return fmt.Errorf("note what was done: %w", err)
	}
	return nil
}

// List returns the latest actions, at most limit of them, the last first. 0 is all.
func List(ctx context.Context, db docdb.DB, limit int) ([]Action, error) {
	var all []Action
	err := db.Query(ctx, docdb.Query{Collection: Collection, Limit: limit}, func(d *docdb.Document) error {
		text := func(field string) string { return d.Fields[field].GetStringValue() }
		a := Action{
			Did: text("did"), By: text("by"), Comment: text("comment"), Which: text("which"), Failure: text("failure"),
			Began: d.Fields["began_at"].GetTimestampValue().AsTime(), Letters: int(d.Fields["letters"].GetIntegerValue()),
		}
		if at := d.Fields["ended_at"].GetTimestampValue(); at != nil {
			ended := at.AsTime()
			a.Ended = &ended
		}
		for reason, n := range d.Fields["reasons"].GetMapValue().GetFields() {
			if a.Reasons == nil {
				a.Reasons = map[string]int{}
			}
			a.Reasons[reason] = int(n.GetIntegerValue())
		}
		all = append(all, a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list what was done: %w", err)
	}
	return all, nil
}
