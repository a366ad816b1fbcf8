package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var exportCommand = command{
	Name:    "export",
	Summary: "print who owns what, or check the documents against it",
	Details: "Prints every resource, sorted by kind and id, one object a line, with its owner\n" +
		"as all events so far say, at one read time. Documents whose name or tenant breaks\n" +
		"the patterns are named on standard error.\n\n" +
		"With --check it prints the documents instead whose tenant_id is not that owner,\n" +
		"which is what readers see that know the documents only; on any the exit code is 1.\n\n" +
		"With --events it prints an archive instead: the events from which replay makes an\n" +
		"empty registry the same, moves of whole tenants and their retractions first. Its\n" +
		"first line says from where and when, its last one counts and hashes them, so that\n" +
		"replay knows an archive that is another's, was cut or was changed.",
	Examples: []string{
		"registry-worker export > owners.ndjson",
		"registry-worker export --check",
		"registry-worker export --events | gzip > events.ndjson.gz",
	},
	Groups: []config.Group{config.ProjectGroup, config.RegistryGroup, config.ExportGroup, config.LogGroup},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory is empty: want firestore"),
	},
	Run: runExport,
}

func runExport(ctx context.Context, in *invocation) error {
	if in.Config.Check && in.Config.Events {
		return usagef("--check and --events are two different outputs: want one of them")
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	store, err := in.openStore(start, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	if in.Config.Events {
		return exportEvents(ctx, store, in.firestoreTarget(), in.Stdout, in.Stderr)
	}
	if in.Config.Check {
		return checkDocuments(ctx, store, in.Stdout, in.Stderr)
	}
	exported, err := exportOwners(ctx, store, in.Stdout, in.Stderr)
	if err == nil && exported == 0 { // said, since a wrong project looks the same
		fmt.Fprintf(in.Stderr, "no resources in project %s, database %s\n", in.Config.Project, in.Config.Database)
	}
	return err
}

// owned is a line of the export (design §8: fields and their order are fixed).
type owned struct {
	Kind     registry.Kind `json:"kind"`
	ID       string        `json:"id"`
	TenantID string        `json:"tenant_id"`
}

// exportOwners writes who owns what to out, and what is foreign to the registry
// to foreign. It returns how many lines went out.
func exportOwners(ctx context.Context, store ownership.Store, out, foreign io.Writer) (exported int, err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	lines := terminal.JSON(w)
	left := leftOut{out: foreign}
	err = store.Export(ctx, func(r ownership.Record, l *ownership.Ledger) error {
		owner, err := ownerOf(r, l)
		if err != nil {
			left.tell(err)
			return nil
		}
		exported++
		return lines.Encode(owned{r.Resource.Kind, r.Resource.ID, owner})
	})
	return exported, errors.Join(err, w.Flush(), left.fault())
}

// leftOut tells of documents that an export leaves out. Those that are none of
// the registry's are no fault; those that this version does not understand are.
type leftOut struct {
	out    io.Writer
	unread int
}

func (l *leftOut) tell(err error) {
	fmt.Fprintln(l.out, terminal.Line(err.Error()))
	if errors.Is(err, registry.ErrTooNew) {
		l.unread++
	}
}

func (l *leftOut) fault() error {
	if l.unread == 0 {
		return nil
	}
	return fmt.Errorf("%s left out: this version does not understand what is stored (docs/upgrades.md)",
		counted(l.unread, "document is", "documents are"))
}

// difference is a line of the check.
type difference struct {
	owned        // with the tenant_id that the document has
	Owner string `json:"owner"` // as the events say
}

// checkDocuments writes the documents whose tenant_id differs from the fold. The
// error tells of any.
func checkDocuments(ctx context.Context, store ownership.Store, out, foreign io.Writer) error {
	w := bufio.NewWriterSize(out, 64<<10)
	lines := terminal.JSON(w)
	documents, differences := 0, 0
	left := leftOut{out: foreign}
	err := store.Export(ctx, func(r ownership.Record, l *ownership.Ledger) error {
		owner, err := ownerOf(r, l)
		if err != nil {
			left.tell(err)
			return nil
		}
		documents++
		if owner == r.TenantID {
			return nil
		}
		differences++
		return lines.Encode(difference{owned{r.Resource.Kind, r.Resource.ID, r.TenantID}, owner})
	})
	if err := errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if differences > 0 {
		err = fmt.Errorf("%d of %d documents have a tenant_id that is not the owner", differences, documents)
	}
	if err := errors.Join(err, left.fault()); err != nil {
		return err
	}
	fmt.Fprintf(foreign, "%s checked, no differences\n", counted(documents, "document", "documents"))
	return nil
}

// ownerOf returns the owner by the fold, or an error that says why the document
// is none of the registry's, or is not understood.
func ownerOf(r ownership.Record, l *ownership.Ledger) (string, error) {
	if r.Resource == (registry.Resource{}) {
		_, err := registry.ParseDocumentID(r.Document)
		return "", fmt.Errorf("document %q: %w", r.Document, err)
	}
	owner, err := r.Owner(l)
	if err != nil {
		return "", err
	}
	if owner == "" {
		return "", fmt.Errorf("document %q: no tenant_id", r.Document)
	}
	if err := registry.ValidateTenant(owner); err != nil {
		return "", fmt.Errorf("document %q: %w", r.Document, err)
	}
	return owner, nil
}
