package config

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	Entry
	Want string // what is allowed, and why if that is not obvious
}

func (f Fault) Error() string {
	switch {
	case f.From == FromFlag:
		return fmt.Sprintf("--%s %s: %s", f.Name, quote(f.Value), f.Want)
	case f.From == FromDefault && f.Value == "":
		return fmt.Sprintf("--%s (%s) is not set: %s", f.Name, f.Env, f.Want)
	case f.From == FromDefault:
		return fmt.Sprintf("--%s %s (the default): %s", f.Name, quote(f.Value), f.Want)
	default:
		return fmt.Sprintf("--%s %s (from %s): %s", f.Name, quote(f.Value), f.From, f.Want)
	}
}

// Faults is everything that is wrong with the configuration, in the order of
// the table.
type Faults []Fault

func (f Faults) Error() string {
	if len(f) == 1 {
		return "configuration: " + f[0].Error()
	}
	lines := []string{fmt.Sprintf("configuration: %d faults", len(f))}
	for _, fault := range f {
		lines = append(lines, "  "+fault.Error())
	}
	return strings.Join(lines, "\n")
}

// quote quotes and shortens a value, so that a fault stays one readable line.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
