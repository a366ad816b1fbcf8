package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json` (go doc test2json, go help buildjson).
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	ImportPath string // of builds
}

type summary struct {
	out     io.Writer
	logs    bool           // show also what passing tests have logged
	output  map[key]string // what is not shown yet, of tests that are not over
	parents map[key]bool   // tests that have subtests
	broken  map[key]bool   // packages in which a test failed, tests of which a subtest did
	skips   map[string]int // by reason

	passed, failed, skipped int
	tested, untested        int // packages
}

type key struct{ pkg, test string }

// parents are the tests that this one is a subtest of.
func (k key) parents() []key {
	var parents []key
	for i, c := range k.test {
		if c == '/' {
			parents = append(parents, key{k.pkg, k.test[:i]})
		}
	}
	return parents
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, output: map[key]string{}, parents: map[key]bool{}, broken: map[key]bool{}, skips: map[string]int{}}
}

// read takes the events in, up to the end.
func (s *summary) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the output of go test: %w", err)
		}
	}
}

func (s *summary) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		s.show(string(line)) // something that go prints beside its events
		return
	}
	k := key{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		s.show(e.Output)
	case e.Action == "output":
		s.output[k] += e.Output
	case e.Test != "":
		s.test(e.Action, k)
	default:
		s.pkg(e.Action, k)
	}
}

// test takes in what happened to one test.
func (s *summary) test(action string, k key) {
	switch action {
	case "run":
		for _, parent := range k.parents() {
			s.parents[parent] = true
		}
		return
	case "pass":
		if !s.parents[k] {
			s.passed++
		}
		if s.logs {
			s.show(logged(s.output[k]))
		}
	case "skip":
		if !s.parents[k] {
			s.skipped++
			s.skips[reason(s.output[k])]++
		}
	case "fail":
		s.show(s.output[k])
		if !s.broken[k] { // else it fails with its subtests, which were counted
			s.failed++
		}
		for _, parent := range k.parents() {
			s.broken[parent] = true
		}
		s.broken[key{pkg: k.pkg}] = true
	default: // pause, cont, bench
		return
	}
	delete(s.output, k)
}

// pkg takes in what happened to a package as a whole.
func (s *summary) pkg(action string, k key) {
	switch action {
	case "pass":
		s.tested++
	case "skip":
		s.untested++
	case "fail":
		s.tested++
		for _, unfinished := range slices.SortedFunc(maps.Keys(s.output), compare) {
			if unfinished.pkg == k.pkg && unfinished.test != "" {
				s.show(s.output[unfinished])
				delete(s.output, unfinished)
			}
		}
		s.show(s.output[k])
		if !s.broken[k] {
			s.failed++
		}
		delete(s.output, k)
		return
	default: // start
		return
	}
	for line := range strings.Lines(s.output[k]) {
		if strings.HasPrefix(line, "ok") {
			s.show(line)
		}
	}
	delete(s.output, k)
}

func compare(a, b key) int {
	return cmp.Or(strings.Compare(a.pkg, b.pkg), strings.Compare(a.test, b.test))
}

// logged is what a test that passed has logged, below the line with its name and
// duration; "" if it has logged nothing.
func logged(output string) string {
	var name, logs string
	for line := range strings.Lines(output) {
		switch text := strings.TrimSpace(line); {
		case strings.HasPrefix(text, "--- "):
			name = line
		case !strings.HasPrefix(text, "=== "):
			logs += line
		}
	}
	if logs == "" {
		return ""
	}
	return name + logs
}

// reason is the first line that a skipped test said, which has the place.
func reason(output string) string {
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return noReason
}

// noReason is why a test was skipped that does not say it, which is a fault.
const noReason = "no reason given: let the test say one"

// silent reports whether a test was skipped without a reason.
func (s *summary) silent() bool { return s.skips[noReason] > 0 }

// report says what was covered.
func (s *summary) report(emulators string, took time.Duration) {
	s.show(fmt.Sprintf("\n%d packages with tests, %d without; emulators: %s; %.0f s\n", s.tested, s.untested, emulators, took.Seconds()))
	if len(s.skips) > 0 {
		s.show("skipped:\n")
	}
	for _, why := range slices.Sorted(maps.Keys(s.skips)) {
		s.show(fmt.Sprintf("  %d  %s\n", s.skips[why], why))
	}
	s.show(fmt.Sprintf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped))
}

func (s *summary) show(text string) { _, _ = io.WriteString(s.out, text) }
