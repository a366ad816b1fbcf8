package capacity

import "math"

// What verifying processes read to certify their caches (docs/verifier.md, "What it
// costs").
const (
	readsPerConfirmation   = 2             // the ledger's head; the feed, which costs one if there is nothing new
	feedOverlap            = 11.0          // seconds: a commit's longest, and one
	feedTail               = 0.75          // seconds at the end of the feed that are read again, at most
	countedAtOnce          = 1000          // entries, for one read
	readsPerListening      = 3 * day / 600 // a day; the listener begins anew every 10 minutes
	readsPerHeardMove      = 1             // of a commit, by the listener
	readsPerHeardTenant    = 5             // of a whole tenant, whatever it owns
	confirmationsPerWindow = 2             // in MaxStaleness
)

// between is the time between two confirming reads, in seconds.
func (p Parameters) between() float64 {
	return p.MaxStaleness.Seconds() / confirmationsPerWindow
}

// certifying is what the transports read while there are checks, whether anything
// changes or not.
func (p Parameters) certifying() Line {
	l := Line{Work: "verifiers that certify"}
	if p.MaxStaleness > 0 && p.Checks > 0 {
		l.Reads = month * p.Transports * (day/p.between()*readsPerConfirmation + readsPerListening)
	}
	return l
}

// watching is what is read again for open streams, since plain sets leave no
// notice: each between half of MaxAge and all of it after its last read
// (TestWatchingReadsNothingOncePlainSetsAreOver).
func (p Parameters) watching() Line {
	l := Line{Work: "open streams, read again"}
	if p.MaxStaleness > 0 && p.MaxAge > 0 {
		l.Reads = month * day * p.Streams / (0.75 * p.MaxAge.Seconds())
	}
	return l
}

// hearing is what they read of changes, each a commit of its own: the listener
// once; confirming reads the end of the feed again, and one more to count what is
// before it if two commits or more came within the overlap. Commits come by
// chance.
func (p Parameters) hearing() Line {
	l := Line{Work: "verifiers that hear of moves"}
	if p.MaxStaleness > 0 {
		within := p.ResourceMoves / day * (feedOverlap + p.between())
		several := 1 - math.Exp(-within)*(1+within)
		perMove := readsPerHeardMove + several*feedTail/p.between() + (feedOverlap+p.between())/countedAtOnce/p.between()
		l.Reads = month * p.Transports * (p.ResourceMoves*perMove + several*day/p.between() + p.TenantMoves*readsPerHeardTenant)
	}
	return l
}
