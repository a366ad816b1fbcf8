// Packages that wait by chance take it from math/rand: a run sets its seed.
//
//go:debug randseednop=0
package simulation_test

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// Properties are tried 5,000 times; -rapid.checks or RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := os.Getenv("RAPID_CHECKS") != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "5000"); err != nil {
			panic(err)
		}
	}
	runtime.GOMAXPROCS(1)  // whose turn it is, is for the scheduler to say
	debug.SetGCPercent(-1) // seeds repeat until there is too much
	debug.SetMemoryLimit(512 << 20)
	os.Exit(m.Run())
}
