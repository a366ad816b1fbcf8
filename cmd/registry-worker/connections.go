package main

import (
	"fmt"
	"syscall"
)

// monitors is how many connections --metrics-listen takes, beside those of
// --max-connections: some scrapers and probes.
const monitors = 64

// others is how many files a process has open beside its connections: streams to
// Pub/Sub and Firestore, the listeners and their reserves, the monitors, the files
// that it reads.
const others = monitors + 128

// connections returns --max-connections, or less if the process may not open so
// many files. Accepting more would take the files that the stores' connections
// need, and then nothing would be accepted any more, not even health. The warning
// is empty if nothing was changed.
func connections(wanted int) (most int, warning string) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(wanted)+others <= limit.Cur {
		return wanted, ""
	}
	most = max(int(limit.Cur)-others, int(limit.Cur)/2, 1)
	return most, fmt.Sprintf("--max-connections %d: the process may open %d files (ulimit -n), so it takes %d connections", wanted, limit.Cur, most)
}
