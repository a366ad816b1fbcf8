package config

import "slices"

// A Retired setting no longer has an effect. Its flag is still accepted, so that a
// deployment that gives it keeps starting, and is not shown.
type Retired struct {
	Group Group
	Name  string // of the flag, without dashes
	Why   string
}

var retired = []Retired{
	{WorkerGroup, "batch-size", "batches have as many changes as one write takes, 500: smaller ones were slower (docs/benchmarks.md)"},
	{WorkerGroup, "linger", "a batch waits 5 ms to fill: 1 ms and 20 ms were as fast (docs/benchmarks.md)"},
}

// RetiredIn returns the retired settings of the groups.
func RetiredIn(groups []Group) []Retired {
	return slices.DeleteFunc(slices.Clone(retired), func(r Retired) bool { return !slices.Contains(groups, r.Group) })
}

// Warning says that the setting, given by the flag or variable with this name, has
// no effect.
func (r Retired) Warning(given string) string { return given + " has no effect: " + r.Why }
