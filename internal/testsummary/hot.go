package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
)

// hotReports collects what the tests' emulators have seen that the services
// would not have taken for long.
type hotReports struct{ dir string }

func newHotReports() (*hotReports, error) {
	dir, err := os.MkdirTemp("", "hot-reports-")
	if err != nil {
		return nil, fmt.Errorf("directory for reports of hot documents: %w", err)
	}
	return &hotReports{dir}, nil
}

func (h *hotReports) environ() string { return emulatortest.ReportVariable + "=" + h.dir }

func (h *hotReports) remove() { _ = os.RemoveAll(h.dir) }

// hot is one document or index range, and the test that made it so.
type hot struct {
	rules.Hot
	test string
}

// print writes the hottest, if there are any.
func (h *hotReports) print(out io.Writer) error {
	var documents, ranges []hot
	files, err := filepath.Glob(filepath.Join(h.dir, "*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("report of hot documents: %w", err)
		}
		for line := range bytes.Lines(text) {
			var r struct {
				Test string
				rules.Report
			}
			if err := json.Unmarshal(line, &r); err != nil {
				return fmt.Errorf("report of hot documents: %w", err)
			}
			documents, ranges = appendHot(documents, r.Documents, r.Test), appendHot(ranges, r.Ranges, r.Test)
		}
	}
	printHottest(out, fmt.Sprintf("documents that were written faster than %d a second for long, which Firestore would not take", rules.SustainedWrites), documents)
	printHottest(out, fmt.Sprintf("indexes that grew at their end by more than %d writes a second", rules.SequentialWrites), ranges)
	return nil
}

func appendHot(all []hot, more []rules.Hot, test string) []hot {
	for _, one := range more {
		all = append(all, hot{one, test})
	}
	return all
}

func printHottest(out io.Writer, title string, all []hot) {
	const most = 10
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b hot) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.test, b.test), cmp.Compare(a.Name, b.Name))
	})
	_, _ = fmt.Fprintf(out, "%s, in the fastest second:\n", title)
	for _, one := range all[:min(most, len(all))] {
		_, _ = fmt.Fprintf(out, "  %5d/s  %s  %s\n", one.PerSecond, one.Name, one.test)
	}
	if len(all) > most {
		_, _ = fmt.Fprintf(out, "  and %d more\n", len(all)-most)
	}
}
