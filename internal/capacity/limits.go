package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Limit is one limit of the services, or of this program, and how much of it
// the installation uses at its peak.
type Limit struct {
	Name   string
	Bound  string
	Used   float64 // 1 is all of it
	Beyond string  // what happens there, and what to do
}

// The limits, each with its source.
const (
	perStream        = 10e6           // bytes a second; https://cloud.google.com/pubsub/quotas
	streamsPerWorker = 2              // of one subscription; consumer.ServiceStreams
	sequentialWrites = 500.0          // a second; https://firebase.google.com/docs/firestore/quotas
	followed         = 5000.0         // commits a second; TestAQuietTenantIsCertifiedBeside5000ChangesASecondOfOthers
	oneDocument      = 1.0            // writes a second, to plan with: Firestore gives no figure any more
	regionPublish    = 50e6           // bytes a second, of a small region; https://cloud.google.com/pubsub/quotas
	rampStart        = 500.0          // operations a second; https://firebase.google.com/docs/firestore/best-practices
	memoryForLedger  = float64(256e6) // bytes; what one may want to give
)

// ExportRate is how many documents a second an export to a file reads, by all its
// readers together: a guess, from the 11,000 that one of them was measured to read
// beside an emulator.
const ExportRate = 50_000.0

// rewritten is how many documents a day move with their tenants, which have the average
// size.
func (p Parameters) rewritten() float64 {
	return p.TenantMoves * p.Resources / max(1, p.Tenants)
}

// nextWall is the limit of which most is used.
func (p Parameters) nextWall() Limit {
	return slices.MaxFunc(p.Limits(), func(a, b Limit) int { return cmp.Compare(a.Used, b.Used) })
}

// Limits lists them, in no order.
func (p Parameters) Limits() []Limit {
	peakMoves := p.Peak * p.ResourceMoves / day
	feedPerVerifier := peakMoves + p.Peak*p.TenantMoves/day
	return []Limit{
		{"one stream of Pub/Sub", "10 MB/s", p.PeakEvents() * messageBytes / p.WorkersNeeded() / streamsPerWorker / perStream,
			"--streams, or more workers"},
		{"publishing to Pub/Sub, in a small region", "50 MB/s", p.PeakEvents() * messageBytes / regionPublish,
			"ask for more quota"},
		{"the start of Firestore's ramp", "500 operations/s at once, 50 % more every 5 minutes", p.PeakEvents() / rampStart,
			fmt.Sprintf("errors and latency; from cold, the peak is allowed after %v. The worker backs off and Pub/Sub keeps the rest", p.RampUp())},
		{"the index of the change feed by time", "500 commits/s", peakMoves / sequentialWrites,
			"moves that name their resources slow down. A commit takes up to 250 of them, if they come in one event or at once; `upgrade --finish` makes it 4,000"},
		{"the ledger's head", "1 write/s", p.Peak * p.TenantMoves / day / oneDocument,
			"moves of tenants queue; they are retried"},
		{"the ledger in memory", "256 MB", p.LedgerBytes() / memoryForLedger,
			"each process that folds holds it; give more memory"},
		{"the rewriting of moved tenants", fmt.Sprintf("%s documents/s", count(p.RewritingRate)), p.rewritten() / day / p.RewritingRate,
			"direct readers wait longer each day; verifiers do not"},
		{"one read time of an export to a file", fmt.Sprintf("1 h at %s documents/s", count(ExportRate)), p.Resources / ExportRate / 3600,
			"point-in-time recovery, with which it is 7 days; `export --check` needs no one time"},
		{"the feed of one verifier", "5,000 commits/s", feedPerVerifier / followed,
			"each entry is read by every transport process: fewer, larger processes"},
		{"moves of one resource", "1,000 in its lifetime, 100 of them without effect", 0,
			"history_full: the next one becomes a dead letter"},
		{"writes to one resource", "1/s", 0,
			"the worker merges what arrives together into one write, and retries what collides"},
	}
}

// RampUp is how long Firestore's ramp takes to the peak, from cold.
func (p Parameters) RampUp() time.Duration {
	if p.PeakEvents() <= rampStart {
		return 0
	}
	steps := math.Ceil(math.Log(p.PeakEvents()/rampStart) / math.Log(1.5))
	return time.Duration(steps) * 5 * time.Minute
}
