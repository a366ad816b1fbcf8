package main

import (
	"bufio"
	"bytes"
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
	Details: "Prints every resource, sorted by kind and id, one object a line, with its owner by all\n" +
		"events so far, at one read time. Documents whose name or tenant breaks the patterns\n" +
		"are named on standard error.\n\n" +
		"With --check it prints instead the documents whose tenant_id is not that owner, which\n" +
		"is what readers of the raw document see; if there are any the exit code is 1. So it is\n" +
		"if there are no documents: it is mostly the wrong database.\n\n" +
		"With --events it prints an archive instead: the events from which replay makes an\n" +
		"empty registry the same, moves of whole tenants and their retractions first. Its first\n" +
		"line says from where and when, its last one counts and hashes them, so that replay\n" +
		"recognizes an archive that is another registry's, or was cut or changed.\n\n" +
		"With --output it writes to a file, which appears when it is complete, and reads many\n" +
		"ranges side by side. Parts are kept beside the file, in a directory whose name ends in\n" +
		".parts: the same command resumes an interrupted export from them. Firestore can be\n" +
		"read as of a time for an hour, or, with point-in-time recovery, for seven days; at the\n" +
		"start it says whether the export will fit.",
	Examples: []string{
		"registry-worker export > owners.ndjson",
		"registry-worker export --output owners.ndjson.gz",
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
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	if in.Config.Check {
		if err := in.needDocuments(ctx, store, ""); err != nil {
			return fmt.Errorf("nothing was checked: %w", err)
		}
	}
	if in.Config.Output != "" {
		return exportFile(ctx, in, store, in.exportFormat())
	}
	if in.Config.Events {
		return exportEvents(ctx, store, in.firestoreTarget(), in.Stdout, in.Stderr)
	}
	if in.Config.Check {
		return checkDocuments(ctx, store, in.Stdout, in.Stderr)
	}
	exported, err := exportOwners(ctx, store, in.Stdout, in.Stderr)
	if err == nil && exported == 0 { // reported, since a wrong project looks the same
		fmt.Fprintf(in.Stderr, "no resources in project %s, database %s\n", in.Config.Project, in.Config.Database)
	}
	return err
}

// exportFormat returns the format that was asked for.
func (in *invocation) exportFormat() format {
	switch {
	case in.Config.Check:
		return differences
	case in.Config.Events:
		return archiveFormat(in.Stderr)
	}
	return owners
}

// owned is a line of the export (design §8: fields and their order are fixed).
type owned struct {
	Kind     registry.Kind `json:"kind"`
	ID       string        `json:"id"`
	TenantID string        `json:"tenant_id"`
}

// owners writes who owns what.
var owners = format{
	name: "owners",
	encode: func(r ownership.Record, l *ownership.Ledger) ([]byte, error) {
		owner, err := ownerOf(r, l)
		if err != nil || owner == "" {
			return nil, err
		}
		return line(owned{r.Resource.Kind, r.Resource.ID, owner}), nil
	},
	judge: func(io.Writer, int, int) error { return nil },
}

// difference is a line of the check.
type difference struct {
	owned        // with the tenant_id that the document has
	Owner string `json:"owner"` // by the events
}

// differences writes the documents whose tenant_id differs from the fold. Each is
// compared with the ledger as of the time at which it is read.
var differences = format{
	name:     "differences",
	ownTimes: true,
	encode: func(r ownership.Record, l *ownership.Ledger) ([]byte, error) {
		owner, err := ownerOf(r, l)
		if err != nil || owner == r.TenantID {
			return nil, err
		}
		return line(difference{owned{r.Resource.Kind, r.Resource.ID, r.TenantID}, owner}), nil
	},
	judge: func(told io.Writer, documents, lines int) error {
		if lines > 0 {
			return fmt.Errorf("%d of %d documents have a tenant_id that is not the owner", lines, documents)
		}
		fmt.Fprintf(told, "%s checked, no differences\n", counted(documents, "document", "documents"))
		return nil
	},
}

// line returns a value of ours as a line of JSON.
func line(value any) []byte {
	var b bytes.Buffer
	if err := terminal.JSON(&b).Encode(value); err != nil {
		panic(err) // it has only texts
	}
	return b.Bytes()
}

// exportOwners writes who owns what to out, and documents that are not the
// registry's to foreign. It returns the number of lines written.
func exportOwners(ctx context.Context, store ownership.Store, out, foreign io.Writer) (exported int, err error) {
	return exportLines(ctx, store, owners, out, foreign)
}

// checkDocuments writes the documents whose tenant_id differs from the fold. If
// there are any, it returns an error.
func checkDocuments(ctx context.Context, store ownership.Store, out, foreign io.Writer) error {
	_, err := exportLines(ctx, store, differences, out, foreign)
	return err
}

// exportLines writes an export to out, on one stream and as of one time, and
// reports the result.
func exportLines(ctx context.Context, store ownership.Store, f format, out, told io.Writer) (lines int, err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	left, documents := leftOut{out: told}, 0
	err = store.Export(ctx, func(r ownership.Record, l *ownership.Ledger) error {
		text, leftOut := f.encode(r, l)
		if leftOut != nil {
			left.tell(leftOut)
			return nil
		}
		documents++
		lines += bytes.Count(text, []byte("\n"))
		_, err := w.Write(text)
		return err
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return lines, err
	}
	return lines, f.outcome(told, documents, lines, left)
}

// outcome reports the result of a complete export of so many documents and lines.
func (f format) outcome(told io.Writer, documents, lines int, left leftOut) error {
	if fault := left.fault(); fault != nil && lines == 0 {
		return fault
	}
	return errors.Join(f.judge(told, documents, lines), left.fault())
}

// leftOut reports documents that an export leaves out. It is an error if this
// version does not understand them, and not if they are not the registry's.
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

// ownerOf returns the owner by the fold, "" if the resource was deleted, or an error
// that says why the document is not the registry's, or is not understood.
func ownerOf(r ownership.Record, l *ownership.Ledger) (string, error) {
	if r.Resource == (registry.Resource{}) {
		_, err := registry.ParseDocumentID(r.Document)
		return "", fmt.Errorf("document %q: %w", r.Document, err)
	}
	owner, err := r.Owner(l)
	if err != nil {
		return "", err
	}
	if r.History.Deleted() {
		return "", nil
	}
	if owner == "" {
		return "", fmt.Errorf("document %q: no tenant_id", r.Document)
	}
	if err := registry.ValidateTenant(owner); err != nil {
		return "", fmt.Errorf("document %q: %w", r.Document, err)
	}
	return owner, nil
}
