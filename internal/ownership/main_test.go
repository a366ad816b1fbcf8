package ownership_test

import (
	"os"
	"testing"

	"github.com/northstar-engines/realtime-registry/internal/rapidchecks"
)

// Properties are tried 3,000 times, since the rare meetings of equal versions,
// ledgers and assertions are where folds go wrong; -rapid.checks or RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	rapidchecks.Default(3_000)
	os.Exit(m.Run())
}
