package ownership_test

import (
	"flag"
	"os"
	"testing"
)

// Properties are tried 10,000 times, since the rare meetings of equal versions,
// ledgers and assertions are where folds go wrong; -rapid.checks or RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := os.Getenv("RAPID_CHECKS") != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "10000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
