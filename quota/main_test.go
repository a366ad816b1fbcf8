package quota_test

import (
	"flag"
	"os"
	"testing"
)

// Properties are tried 2,000 times: two things that meet by chance, such as a
// crash and the last unit of a window, do so rarely. -rapid.checks or
// RAPID_CHECKS say otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := os.Getenv("RAPID_CHECKS") != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
