package main

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// setPlainSets runs upgrade --plain-sets.
func setPlainSets(ctx context.Context, in *invocation, target target) error {
	over, question := in.Config.PlainSets == "over", "programs may write documents with plain sets again?"
	if over {
		question = "no program writes documents with plain sets any more, nor has the right to?"
	}
	if err := in.confirm(ctx, target, question); err != nil {
		return err
	}
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	changed, err := store.(*fsregistry.Store).EndPlainSets(ctx, over)
	if err != nil {
		return in.explainFirestore(err)
	}
	said, what := "", "plain sets go on: verifiers use what they keep for 30s, unless --max-age says another time"
	if over {
		what = "plain sets are over: verifiers use what they keep for a day, unless it changes, or --max-age says another time"
	}
	if !changed {
		said = " (the registry said so before)"
	}
	fmt.Fprintln(in.Stderr, what+said)
	return nil
}

// plainSets is what was found about plain sets.
type plainSets struct {
	over         time.Time // since when they are over, by the registry; zero: they are not
	looked, last int       // documents; those whose last write was a plain set
	after        int       // of these, since they are over
	latest       time.Time
	document     string // with the latest
}

func (p *plainSets) see(r ownership.Record) {
	p.looked++
	if r.Plain {
		p.last++
		if !p.over.IsZero() && r.UpdateTime.After(p.over) {
			p.after++
		}
	}
	for _, e := range r.History {
		if e.Type == ownership.Asserted && e.Time.After(p.latest) {
			p.latest, p.document = e.Time, r.Document
		}
	}
}

// countPlainSets runs upgrade --plain-sets … --dry-run: it counts what speaks
// against saying that they are over.
func countPlainSets(ctx context.Context, in *invocation) error {
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	since, err := store.(*fsregistry.Store).PlainSetsOver(ctx)
	if err != nil {
		return in.explainFirestore(err)
	}
	found := plainSets{over: since}
	progress := newProgress(in.Stderr, "document", "")
	err = store.Export(ctx, func(r ownership.Record, _ *ownership.Ledger) error {
		found.see(r)
		progress.at(found.looked, int64(found.looked), int64(found.looked))
		return nil
	})
	progress.clear()
	if err != nil {
		return in.explainFirestore(err)
	}
	state := "the registry says that plain sets go on"
	if !since.IsZero() {
		state = "the registry says that plain sets are over since " + since.Format(time.RFC3339)
	}
	fmt.Fprintf(in.Stdout, "%s\n%s looked at, %d of them last written with a plain set\n", state, counted(found.looked, "document", "documents"), found.last)
	if found.latest.IsZero() {
		fmt.Fprintln(in.Stdout, "no history has a plain set")
	} else {
		fmt.Fprintf(in.Stdout, "the latest plain set: %s, at %s\n", found.document, found.latest.Format(time.RFC3339))
	}
	if found.after > 0 {
		fmt.Fprintf(in.Stdout, "%s written so since then: %s upgrade --plain-sets go-on takes back that they are over\n",
			counted(found.after, "document was", "documents were"), programName)
	}
	fmt.Fprintf(in.Stdout, "it would say: plain sets %s; nothing was changed\n", map[string]string{"over": "are over", "go-on": "go on"}[in.Config.PlainSets])
	return nil
}
