package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// table is one table of the report, in Markdown.
type table struct {
	title  string
	header []string
	rows   [][]string
	notes  []string
}

func (t table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.title)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.header)
	line(append([]string{"---"}, repeated("---:", len(t.header)-1)...))
	for _, row := range t.rows {
		line(row)
	}
	b.WriteString("\n")
	for _, note := range t.notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	return b.String()
}

func repeated(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// machine describes where the figures come from, and how.
func (b *bench) machine() string {
	o := b.options
	return fmt.Sprintf(`Measured %s on %d cores (%s), %s of memory, %s, %s/%s; the emulators run on the same cores. %d runs, %d events each, at most %v; %s.
`,
		b.began.UTC().Format(time.DateOnly), runtime.NumCPU(), procField("/proc/cpuinfo", "model name"), procField("/proc/meminfo", "MemTotal"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, o.Runs, o.Events, o.Limit, revision())
}

func procField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// revision says what the contenders are made of.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "versions unknown"
	}
	var versions []string
	for _, d := range info.Deps {
		for _, module := range []string{"cloud.google.com/go/pubsub/v2", "cloud.google.com/go/firestore", "github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-googlecloud/v2"} {
			if d.Path == module {
				versions = append(versions, d.Path+" "+d.Version)
			}
		}
	}
	return strings.Join(versions, ", ")
}

const reportFile = "../docs/benchmarks.md"

// writeReport puts the tables of a suite into the document, between two marks.
func writeReport(suite, report string) error {
	text, err := os.ReadFile(reportFile)
	if err != nil {
		return err
	}
	begin, end := fmt.Sprintf("<!-- suite %s -->\n", suite), "<!-- end -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: there are no marks for the suite %s", reportFile, suite)
	}
	return os.WriteFile(reportFile, []byte(before+begin+"\n"+report+"\n"+end+after), 0o644)
}
