package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// wish is the move that was asked for.
type wish struct {
	From, To string
	Kind     string              // "": every kind
	MovedBy  string              // the id of the move that brought them; "": any
	File     string              // names the resources; "": no file does
	Names    []registry.Resource // the resources that it names
	Planned  *planned            // the plan that must still hold; nil: none
	Plan     string              // the file that it is in
}

// whole reports whether everything that the tenant owns is to move, with one event.
func (w wish) whole() bool { return w.Kind == "" && w.File == "" && w.MovedBy == "" }

func (w wish) what() string {
	what := map[string]string{"": "everything", string(registry.Thread): "all threads", string(registry.Canvas): "all canvases"}[w.Kind]
	switch {
	case w.File != "":
		return "what " + terminal.Quote(w.File) + " names"
	case w.MovedBy != "":
		return what + " that the move " + terminal.Quote(w.MovedBy) + " brought"
	}
	return what
}

// command returns the call that makes the move.
func (w wish) command() string {
	line := fmt.Sprintf("%s moves start --from %s --to %s", programName, w.From, w.To)
	for _, one := range [][2]string{{"kind", w.Kind}, {"moved-by", w.MovedBy}, {"resources", w.File}} {
		if one[1] != "" {
			line += " --" + one[0] + " " + shellQuote(one[1])
		}
	}
	return line + " --reason 'why'"
}

// shellQuote quotes a text for a shell, so that it can be pasted.
func shellQuote(text string) string {
	if safeWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(terminal.Line(text), "'", `'\''`) + "'"
}

var safeWord = regexp.MustCompile(`^[A-Za-z0-9_./:@+=-]+$`)

// wish reads the flags, and the files that they name.
func (in *invocation) wish(ctx context.Context) (wish, error) {
	w := wish{From: in.Config.From, To: in.Config.To, Kind: in.Config.Kind, MovedBy: in.Config.MovedBy, File: in.Config.Resources, Plan: in.Config.Plan}
	if w.Plan != "" {
		if err := w.readPlan(); err != nil {
			return w, fmt.Errorf("--plan %s: %w", terminal.Quote(w.Plan), err)
		}
	}
	if w.File == "" {
		return w, nil
	}
	names, err := in.readNames(ctx, w.File)
	if err != nil {
		return w, fmt.Errorf("--resources %s: %w", terminal.Quote(w.File), err)
	}
	w.Names = names
	return w, nil
}

// readPlan takes from the plan what flags do not give, and refuses a plan of
// another move.
func (w *wish) readPlan() error {
	text, err := os.ReadFile(w.Plan)
	if err != nil {
		return err
	}
	w.Planned = &planned{}
	if err := json.Unmarshal(text, w.Planned); err != nil || w.Planned.Fingerprint == "" {
		return errors.Join(errors.New("want the output of `moves plan --json`"), err)
	}
	for _, one := range []struct {
		flag    string
		given   *string
		planned string
	}{{"from", &w.From, w.Planned.From}, {"to", &w.To, w.Planned.To}, {"kind", &w.Kind, w.Planned.Kind}, {"moved-by", &w.MovedBy, w.Planned.MovedBy}} {
		if *one.given != "" && *one.given != one.planned {
			return fmt.Errorf("it is of --%s %s, and not of %s", one.flag, terminal.Quote(one.planned), terminal.Quote(*one.given))
		}
		*one.given = one.planned
	}
	if w.Planned.Named != (w.File != "") {
		return errors.New("a plan of named resources needs the file that names them, --resources; other plans take none")
	}
	return errors.Join(registry.ValidateTenant(w.From), registry.ValidateTenant(w.To))
}

// readNames reads resources, one KIND/ID a line, or a document's name. Lines that
// are empty or begin with # are skipped; a repeated one counts once.
func (in *invocation) readNames(ctx context.Context, name string) ([]registry.Resource, error) {
	input := io.Reader(interruptible.Reader(ctx, in.Stdin))
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		input = file
	}
	var all []registry.Resource
	known := map[registry.Resource]bool{}
	lines := bufio.NewScanner(input)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseResource(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w; want KIND/ID, such as thread/th_42", number, err)
		}
		if !known[r] {
			known[r] = true
			all = append(all, r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("it names no resource")
	}
	return all, nil
}

func parseResource(text string) (registry.Resource, error) {
	if kind, id, ok := strings.Cut(text, "/"); ok {
		r := registry.Resource{Kind: registry.Kind(kind), ID: id}
		return r, r.Validate()
	}
	return registry.ParseDocumentID(text)
}

// plan computes what the move would do now.
func (in *invocation) plan(ctx context.Context, store registryStore, w wish) (rewrite.NamedPlan, error) {
	planner := in.planner(store)
	switch {
	case w.File != "":
		return planner.Named(ctx, w.From, w.To, w.Names)
	case !w.whole():
		return planner.Owned(ctx, w.From, w.To, rewrite.Which{Kind: registry.Kind(w.Kind), MovedBy: rewrite.MoveID{ID: w.MovedBy}})
	}
	plan, err := planner.Move(ctx, w.From, w.To)
	return rewrite.NamedPlan{Plan: plan}, err
}
