package emulatortest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/northstar-engines/realtime-registry/emulator/wire/rules"
)

// ReportVariable is an environment variable of tests that names a directory. What
// would have been hot on the service is written there: one file for each test
// binary, with one JSON object a line, which has the test's name and its report. If
// the variable is empty, nothing is written.
const ReportVariable = "REGISTRY_TEST_HOT_REPORTS"

// report adds a line.
func report(test string, r rules.Report) error {
	dir := os.Getenv(ReportVariable)
	if dir == "" || len(r.Documents)+len(r.Ranges) == 0 {
		return nil
	}
	line, err := json.Marshal(struct {
		Test string `json:"test"`
		rules.Report
	}{test, r})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%d.jsonl", os.Getpid())), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("report of hot documents: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}
