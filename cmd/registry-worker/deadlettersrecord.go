package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// openDocuments opens the database for what is beside the registry: the processes that
// run, and what operators did.
func (in *invocation) openDocuments(ctx context.Context) (*firestoredb.DB, error) {
	db, err := bounded(ctx, func(ctx context.Context) (*firestoredb.DB, error) {
		return firestoredb.Open(ctx, firestoredb.Options{
			ProjectID: in.Config.Project, Database: in.Config.Database, Prefix: in.Config.CollectionPrefix, Connection: in.firestore,
		})
	})
	if err != nil {
		return nil, in.explainFirestore(err)
	}
	return db, nil
}

// recorded does something to dead letters, and keeps who did it, why, and what it came
// to. If that cannot be noted before, nothing is done.
func (in *invocation) recorded(ctx context.Context, did string, f func() (pubsubadmin.Tally, error)) error {
	db, err := in.openDocuments(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	action := actions.Action{Did: did, By: in.who(), Comment: in.Config.Comment, Which: in.lettersMeant()}
	name, err := in.noted(ctx, func(ctx context.Context) (string, error) { return actions.Begin(ctx, db, action) })
	if err != nil {
		return fmt.Errorf("nothing was done, since who does it could not be noted: %w", err)
	}
	tally, failure := f()
	action.Letters, action.Reasons = tally.Total, byReason(tally)
	if failure != nil {
		action.Failure = failure.Error()
	}
	in.Logger.Info("dead letters "+map[string]string{actions.Redrive: "published again", actions.Purge: "discarded"}[did],
		"letters", action.Letters, "reasons", action.Reasons, "which", action.Which, "by", action.By, "comment", action.Comment)
	_, err = in.noted(context.WithoutCancel(ctx), func(ctx context.Context) (string, error) {
		return "", actions.End(ctx, db, name, action)
	})
	return errors.Join(failure, err)
}

func (in *invocation) noted(ctx context.Context, write func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	name, err := write(ctx)
	if err != nil {
		err = in.explainFirestore(err)
	}
	return name, err
}

// byReason counts letters. A reason that the worker does not have is somebody else's
// text.
func byReason(t pubsubadmin.Tally) map[string]int {
	all := map[string]int{}
	for _, s := range t.Sorts {
		reason := "other"
		if slices.Contains(envelope.Reasons(), s.Reason) {
			reason = string(s.Reason)
		}
		all[reason] += s.Count
	}
	return all
}

// lettersMeant is the flags that select letters, as they may be given again.
func (in *invocation) lettersMeant() string {
	c, words := in.Config, []string{}
	flag := func(name, value string) {
		if value != "" {
			words = append(words, "--"+name, shellQuote(value))
		}
	}
	list := func(all []events.Reason) string {
		texts := make([]string, len(all))
		for i, r := range all {
			texts[i] = string(r)
		}
		return strings.Join(texts, ",")
	}
	when := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339Nano)
	}
	flag("reason", list(c.LetterReasons))
	flag("type", strings.Join(c.LetterTypes, ","))
	flag("subscription", strings.Join(c.LetterSubscriptions, ","))
	flag("id", c.LetterID)
	flag("after", when(c.After))
	flag("before", when(c.Before))
	if c.Limit > 0 {
		flag("limit", fmt.Sprint(c.Limit))
	}
	return strings.Join(words, " ")
}
