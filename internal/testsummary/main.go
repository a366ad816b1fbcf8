// Command testsummary runs `go test` with the arguments that it is given, shows
// a line for each package and the whole output of what failed, and ends by
// saying what was covered:
//
//	go run ./internal/testsummary -timeout 4m ./...
//
//	9 packages with tests, 4 without; emulators: Firestore, Pub/Sub; 71 s
//	skipped:
//	  2  firestore_test.go:12: gcloud not installed
//	412 passed, 0 failed, 2 skipped
//
// Before that it says which documents and indexes the service would not have
// taken for long, if there were any (package emulator/wire/rules).
//
// With -logs as the first argument it also shows what tests that passed have
// logged, below their names and durations.
//
// A test with subtests counts by its subtests. What fails without any test that
// failed (a build, a panic outside of tests, a time limit) counts as one failure.
//
// The exit code is 0 if go test's is 0, nothing failed, and each test that was
// skipped says why; else 1.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	passed, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

func run(args []string) (passed bool, err error) {
	// Ctrl-C reaches go test as well; the summary of what ran is still due.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	begin := time.Now()
	logs := len(args) > 0 && args[0] == "-logs"
	if logs {
		args = args[1:]
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	hot, err := newHotReports()
	if err != nil {
		return false, err
	}
	defer hot.remove()
	cmd.Env = append(os.Environ(), hot.environ())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	s := newSummary(os.Stdout)
	s.logs = logs
	readErr := s.read(out)
	waitErr := cmd.Wait()
	readErr = errors.Join(readErr, hot.print(os.Stdout))
	s.report(emulators(), time.Since(begin))
	if s.failed == 0 && waitErr != nil {
		return false, fmt.Errorf("go test: %w", waitErr)
	}
	return s.failed == 0 && !s.silent(), readErr
}

// emulators names those that the tests were given.
func emulators() string {
	var names []string
	for _, e := range []struct{ variable, name string }{
		{"FIRESTORE_EMULATOR_HOST", "Firestore"},
		{"PUBSUB_EMULATOR_HOST", "Pub/Sub"},
	} {
		if os.Getenv(e.variable) != "" {
			names = append(names, e.name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
