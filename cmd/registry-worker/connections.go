package main

import (
	"fmt"
	"syscall"
)

// monitors is how many connections --metrics-listen takes, beside those of
// --max-connections: some scrapers and probes.
const monitors = 64

// others is how many files a process has open beside its connections: streams to
// Pub/Sub and Firestore, the listeners and their reserves, the monitors, what it
// reads.
const others = monitors + 128

// connections is what --max-connections comes to if the process may open fewer
// files. To accept more would take the files that the stores' connections need,
// and then nothing would be accepted any more, health included. The warning is
// empty if nothing was changed.
func connections(wanted int) (most int, warning string) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || uint64(wanted)+others <= limit.Cur {
		return wanted, ""
	}
	most = max(int(limit.Cur)-others, int(limit.Cur)/2, 1)
	return most, fmt.Sprintf("--max-connections %d: the process may open %d files (ulimit -n), so it takes %d connections", wanted, limit.Cur, most)
}
