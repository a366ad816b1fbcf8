// Package rapidchecks says how often a package's tests try their properties.
package rapidchecks

import (
	"flag"
	"os"
	"strconv"
)

// Default makes n the number of tries, unless -rapid.checks or RAPID_CHECKS say
// another one. It parses the flags; a TestMain calls it.
func Default(n int) {
	flag.Parse()
	given := os.Getenv("RAPID_CHECKS") != ""
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}
