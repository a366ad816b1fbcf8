package capacity

// Line is what one kind of work is billed in a month.
type Line struct {
	Work                   string
	Reads, Writes, Deletes float64
	Dollars                float64
}

// Prices, in dollars, of us-west1 (Oregon), without the free quota:
// https://cloud.google.com/firestore/pricing and https://cloud.google.com/pubsub/pricing.
const (
	perRead        = 0.03 / 100_000
	perWrite       = 0.09 / 100_000
	perDelete      = 0.01 / 100_000
	perGiBStored   = 0.15 // a month
	perTiBCarried  = 40.0
	perGiBRetained = 0.27 // a month, acknowledged messages
)

// What work costs in billed operations. Tests count each, on the wire or at the
// store: TestEachLineOfTheBillIsHeldByATestThatCounts has their names.
const (
	readsPerDuplicate = 1
	writesPerCreation = 1
	readsPerClaim     = 1 // the head
	writesPerClaim    = 1
	readsPerClaimed   = 1 // the look of its event
	readsPerMove      = 1 // of one resource that the event names
	writesPerMove     = 2 // the document and the feed entry of its commit, which it may share with 249 others
	deletesPerMove    = 1 // of that feed entry, by the TTL policy

	// The registry's log: a claim is put into the outbox in its commit, and removed once
	// it was published. Each minute each process asks whether to sweep, and one does.
	writesPerLogged  = 1
	deletesPerLogged = 1
	readsPerSweep    = 9 // the shards of the outbox, and the head
	writesPerSweep   = 2 // the lease is taken, and given back
	sweepsADay       = day / 60

	// A move of a whole tenant: the entry and the head, read and written; then
	// each document is read in up to two passes, and written once.
	readsPerTenantMove  = 2
	writesPerTenantMove = 2
	readsPerRewritten   = 2
	writesPerRewritten  = 1

	readsPerCheck = 2 // the document and the ledger's head, in one request

	// What processes read whatever the load: a worker certifies the ledger every
	// 5 s while it works, looks for a job every 2 s, and asks the store for its
	// metrics every 10 s.
	readsPerWorker = day/5 + day/2 + day/10 // a day

	// A block of a throttle window is one write. A window that each write begins
	// anew, or that many processes share, is read before each of them; others are
	// read less: once a window by a process that is alone.
	readsPerBlock  = 1
	writesPerBlock = 1
	expiriesADay   = 1 // of a tenant's window that is not used for an hour, at most
)

// Bill is what a month costs, by kind of work.
func (p Parameters) Bill() []Line {
	carried := p.carriedBytes()
	lines := []Line{
		{Work: "creations", Writes: month * p.Creations * (1 - p.Claims) * writesPerCreation},
		{Work: "claims and their events", Reads: month * p.Creations * p.Claims * (readsPerClaim + readsPerClaimed), Writes: month * p.Creations * p.Claims * writesPerClaim},
		p.logging(),
		{Work: "deliveries that repeat", Reads: month * p.Creations * p.Duplicates * readsPerDuplicate},
		{Work: "moves of resources", Reads: month * p.ResourceMoves * readsPerMove, Writes: month * p.ResourceMoves * writesPerMove, Deletes: month * p.ResourceMoves * deletesPerMove},
		p.tenantMoves(),
		p.hearing(),
		p.certifying(),
		p.watching(),
		{Work: "access checks", Reads: month * day * p.Checks * (1 - p.CacheHits) * readsPerCheck},
		p.throttling(),
		{Work: "workers, idle or not", Reads: month * p.WorkersNeeded() * readsPerWorker},
	}
	for i := range lines {
		lines[i].Dollars = lines[i].Reads*perRead + lines[i].Writes*perWrite + lines[i].Deletes*perDelete
	}
	return append(lines,
		Line{Work: "Firestore, stored", Dollars: p.StoredBytes() / gib * perGiBStored},
		Line{Work: "Pub/Sub, published and delivered", Dollars: carried / tib * perTiBCarried},
		Line{Work: "Pub/Sub, kept for 7 days to replay", Dollars: carried / 2 / month * 7 / gib * perGiBRetained},
		Line{Work: "Pub/Sub, the registry's log for 31 days", Dollars: p.loggedBytes()*month/tib*perTiBCarried + p.loggedBytes()*31/gib*perGiBRetained},
	)
}

// logging publishes claims to the registry's log. Retractions and operators'
// moves are too few to count.
func (p Parameters) logging() Line {
	l := Line{Work: "the registry's log"}
	if p.Claims > 0 {
		logged := p.Creations * p.Claims
		l.Reads = month * sweepsADay * (readsPerSweep + p.WorkersNeeded() + p.Transports)
		l.Writes = month * (logged*writesPerLogged + sweepsADay*writesPerSweep)
		l.Deletes = month * logged * deletesPerLogged
	}
	return l
}

// loggedBytes is what is published to the registry's log in a day.
func (p Parameters) loggedBytes() float64 { return p.Creations * p.Claims * loggedMessageBytes }

// tenantMoves moves tenants of the average size.
func (p Parameters) tenantMoves() Line {
	return Line{
		Work:   "moves of tenants",
		Reads:  month * (p.TenantMoves*readsPerTenantMove + p.rewritten()*readsPerRewritten),
		Writes: month * (p.TenantMoves*writesPerTenantMove + p.rewritten()*writesPerRewritten),
	}
}

// throttling reserves blocks. The TTL policy deletes the windows of tenants that
// have gone quiet.
func (p Parameters) throttling() Line {
	blocks := day * p.ThrottleActions / p.ActionsPerBlock
	return Line{
		Work:    "throttle",
		Reads:   month * blocks * readsPerBlock,
		Writes:  month * blocks * writesPerBlock,
		Deletes: month * min(blocks, p.Tenants*expiriesADay),
	}
}

const (
	gib = 1 << 30
	tib = 1 << 40
)

// carriedBytes is what Pub/Sub is paid for in a month: each message once
// published, and each delivery.
func (p Parameters) carriedBytes() float64 {
	events := month * (p.Creations + p.ResourceMoves + p.TenantMoves)
	return events * messageBytes * (2 + p.Duplicates)
}
