package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// firestore checks the database and what is in it.
func (d *doctor) firestore(ctx context.Context) {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	store, err := d.openStore(start, nil)
	switch {
	case errors.Is(err, registry.ErrNotUpgraded):
		d.fault("database", err, programName+" upgrade")
		return
	case err != nil:
		d.fault("database", err, d.fixFirestore(err))
		return
	}
	defer store.Close()
	before := time.Now()
	snapshot, err := store.Read(ctx, nil)
	if err != nil {
		d.fault("database", err, d.fixFirestore(err))
		return
	}
	d.say(fine, "database", d.firestoreTarget().String(), "")
	d.clock(before, snapshot.ReadTime, time.Now())
	d.registry(ctx, store)
	d.ledger(snapshot.Ledger)
	d.rewriting(ctx, store)
	d.log(ctx, store)
	d.processes(ctx, store)
	d.provenance(ctx, store)
	d.fields(ctx)
}

func (d *doctor) fixFirestore(err error) string {
	switch status.Code(err) {
	case codes.NotFound:
		return fmt.Sprintf("gcloud firestore databases create --project %s --database '%s' --location LOCATION", d.Config.Project, d.Config.Database)
	case codes.PermissionDenied:
		return "give the service account roles/datastore.user (docs/operations.md, docs/security.md)"
	case codes.Unauthenticated:
		return "gcloud auth application-default login"
	}
	return "see the message"
}

// registry looks whether the database has one.
func (d *doctor) registry(ctx context.Context, store registryStore) {
	const what, fix = "registry", "name the right --project, --database and --collection-prefix"
	text, err := d.hollow(ctx, store)
	if err != nil {
		d.fault(what, err, d.fixFirestore(err))
		return
	}
	_, exists, err := store.Epoch(ctx)
	switch {
	case err != nil:
		d.fault(what, err, d.fixFirestore(err))
	case text == "":
		d.say(fine, what, "it has documents", "")
	case exists:
		d.say(warning, what, text+": it is new, or not the one that is meant", fix)
	default:
		d.say(wrong, what, text, fix+"; or, if it is to be a new one, "+programName+" provision")
	}
}

// ledger checks that this release understands all moves.
func (d *doctor) ledger(l *ownership.Ledger) {
	if err := l.Blocked(); err != nil {
		d.fault("ledger", err, "run the release that wrote it (docs/upgrades.md)")
		return
	}
	d.say(fine, "ledger", fmt.Sprintf("at position %d, understood by this release", l.Position()), "")
}

// provenance compares when the database was made, and of which backup, with when its
// ledger was given its epoch: one that is older than its database was restored with it.
func (d *doctor) provenance(ctx context.Context, store registryStore) {
	const what = "provenance"
	if !d.onFirestoreService() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fieldsPatience)
	defer cancel()
	client, err := d.openFirestoreAdmin(ctx)
	if err != nil {
		d.say(unseen, what, err.Error(), "")
		return
	}
	defer client.Close()
	backup, made, err := d.fieldsOf().Provenance(ctx, client)
	if err != nil {
		d.say(unseen, what, "it is not known whether the database was restored (datastore.databases.getMetadata): "+terminal.Line(err.Error()), "")
		return
	}
	stored, exists, err := store.Epoch(ctx)
	switch {
	case err != nil:
		d.fault(what, err, d.fixFirestore(err))
	case exists && stored.Since.Before(made) && (backup != "" || !stored.Since.IsZero()):
		d.say(wrong, what, fmt.Sprintf("the database was made at %s%s, after its ledger, which was not given a new epoch since", made.Format(time.RFC3339), ofBackup(backup)),
			programName+" recover (docs/recovery.md)")
	default:
		d.say(fine, what, fmt.Sprintf("the database was made at %s%s", made.Format(time.RFC3339), ofBackup(backup)), "")
	}
}

func ofBackup(name string) string {
	if name == "" {
		return ""
	}
	return " of backup " + terminal.Quote(name)
}

// rewritingAge is how long a rewriting may take without a warning.
const rewritingAge = time.Hour

// doctorReads bounds how many jobs are read.
const doctorReads = 1000

// parked lists the jobs that were given up, and reports whether there are any.
func (d *doctor) parked(ctx context.Context, store registryStore) bool {
	parked, err := store.ParkedMoves(ctx, 0, doctorReads)
	switch {
	case err != nil:
		d.fault("parked rewriting", err, d.fixFirestore(err))
	case len(parked) == 1:
		m := parked[0]
		d.say(wrong, "parked rewriting", fmt.Sprintf("that for %s was given up %s ago, and documents say another owner than verifiers do: %s",
			shellQuote(m.ID), time.Since(m.Rewriting.ParkedAt).Round(time.Second), terminal.Line(m.Rewriting.Failure)),
			fmt.Sprintf("once the reason is gone: %s moves resume %s --source %s", programName, shellQuote(m.ID), shellQuote(m.Source)))
	case len(parked) > 1:
		m := parked[0]
		d.say(wrong, "parked rewriting", fmt.Sprintf("%d jobs were given up, and documents say another owner than verifiers do; the last (%s): %s",
			len(parked), shellQuote(m.ID), terminal.Line(m.Rewriting.Failure)),
			fmt.Sprintf("%s moves list --state parked; once the reason is gone: %s moves resume, for each", programName, programName))
	}
	return len(parked) > 0
}

// rewriting lists the jobs that wait, and for how long.
func (d *doctor) rewriting(ctx context.Context, store registryStore) {
	parked := d.parked(ctx, store)
	pending, err := store.PendingMoves(ctx, 0, doctorReads)
	if err != nil {
		d.fault("rewriting", err, d.fixFirestore(err))
		return
	}
	if len(pending) == 0 {
		text := "nothing is to be rewritten"
		if parked {
			text = "nothing else is to be rewritten"
		}
		d.say(fine, "rewriting", text, "")
		return
	}
	oldest, failing := pending[0], 0
	for _, m := range pending {
		if m.ChangedAt.Before(oldest.ChangedAt) {
			oldest = m
		}
		if m.Rewriting.Tries > 0 {
			failing++
		}
	}
	text := fmt.Sprintf("%s, the oldest for %s (%s)", counted(len(pending), "job waits", "jobs wait"), time.Since(oldest.ChangedAt).Round(time.Second), shellQuote(oldest.ID))
	switch {
	case failing > 0:
		d.say(warning, "rewriting", fmt.Sprintf("%s; %d of them failed and are tried again", text, failing), programName+" moves list --state pending")
	case time.Since(oldest.ChangedAt) > rewritingAge:
		d.say(warning, "rewriting", text, "see that a worker runs ("+programName+" run), and how far it is ("+programName+" moves list --state pending)")
	default:
		d.say(fine, "rewriting", text, "")
	}
}

// fields checks indexes, exemptions and expiry.
func (d *doctor) fields(ctx context.Context) {
	const what = "fields"
	if !d.onFirestoreService() {
		d.say(fine, what, "an emulator needs neither indexes nor expiry", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, fieldsPatience)
	defer cancel()
	client, err := d.openFirestoreAdmin(ctx)
	if err != nil {
		d.say(unseen, what, err.Error(), "")
		return
	}
	defer client.Close()
	changes, err := d.fieldsOf().Differences(ctx, client)
	switch {
	case status.Code(err) == codes.PermissionDenied:
		d.say(unseen, what, "these credentials may not look (datastore.indexes.list)", "give roles/datastore.viewer, or ask someone who may for "+programName+" provision --dry-run")
	case err != nil:
		d.fault(what, err, d.fixFirestore(err))
	case len(changes) == 0:
		d.say(fine, what, "indexes, exemptions and expiry are as they should be", "")
	}
	for _, c := range changes {
		d.say(wrong, what, c.String(), programName+" provision")
	}
}
