package quota_test

import (
	"os"
	"testing"

	"github.com/northstar-engines/realtime-registry/internal/rapidchecks"
)

// Properties are tried 1,000 times: two things that meet by chance, such as a
// crash and the last unit of a window, do so rarely. -rapid.checks or
// RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	rapidchecks.Default(1_000)
	os.Exit(m.Run())
}
