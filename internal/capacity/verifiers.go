package capacity

// What processes that verify read to certify what they keep (docs/verifier.md,
// "What it costs").
const (
	readsPerConfirmation   = 2             // the ledger's head; the feed, which costs one if there is nothing new
	feedOverlap            = 11.0          // seconds: a commit's longest, and one
	readsPerListening      = 3 * day / 600 // a day; the listener begins anew every 10 minutes
	readsPerHeardMove      = 1             // of one resource, by the listener
	readsPerHeardTenant    = 5             // of a whole tenant, whatever it owns
	confirmationsPerWindow = 2             // in MaxStaleness
)

// between is the time between two confirming reads, in seconds.
func (p Parameters) between() float64 {
	return p.MaxStaleness.Seconds() / confirmationsPerWindow
}

// certifying is what the transports read while somebody asks, whether anything
// changes or not.
func (p Parameters) certifying() Line {
	l := Line{Work: "verifiers that certify"}
	if p.MaxStaleness > 0 && p.Checks > 0 {
		l.Reads = month * p.Transports * (day/p.between()*readsPerConfirmation + readsPerListening)
	}
	return l
}

// hearing is what they read of changes: the listener once, confirming reads for
// as long as they overlap.
func (p Parameters) hearing() Line {
	l := Line{Work: "verifiers that hear of moves"}
	if p.MaxStaleness > 0 {
		perMove := readsPerHeardMove + (feedOverlap+p.between())/p.between()
		l.Reads = month * p.Transports * (p.ResourceMoves*perMove + p.TenantMoves*readsPerHeardTenant)
	}
	return l
}
