// Packages that wait by chance take it from math/rand: a run sets its seed.
//
//go:debug randseednop=0
package simulation_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/northstar-engines/realtime-registry/internal/rapidchecks"
)

// Properties are tried 2,000 times; -rapid.checks or RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	rapidchecks.Default(2_000)
	runtime.GOMAXPROCS(1)  // whose turn it is, is for the scheduler to say
	debug.SetGCPercent(-1) // seeds repeat until there is too much
	debug.SetMemoryLimit(512 << 20)
	os.Exit(m.Run())
}
