package simulation

import "slices"

// Trouble counts what a run met, by kind. A run that met too little proves little.
type Trouble map[string]int

// Kinds of trouble that befall processes in either world, and that a plan may be
// without.
const (
	Kills   = "process killed and started again"
	Errors  = "call failed before it was made"
	Lost    = "answer lost after a commit"
	Delays  = "call held up for up to a minute"
	Stops   = "process stopped for an hour"
	Clocks  = "clocks set apart"
	Silence = "listener that misses changes"
)

var leavable = []string{Kills, Errors, Lost, Delays, Stops, Clocks, Silence, Duplicates, Days}

// Kinds that are counted in either world.
const (
	Steps     = "steps"
	Conflicts = "commit that lost a race"
)

// Kinds of the registry's world.
const (
	Duplicates        = "message delivered again"
	Reordered         = "message delivered after a later one"
	Days              = "process stopped for half a day"
	Expired           = "feed entry expired"
	KilledUnacked     = "kill between a commit and its acknowledgement"
	KilledRewriter    = "kill inside the rewriting job"
	Parked            = "parked job resumed"
	Allowed           = "check answered yes"
	Remembered        = "check answered yes from memory"
	Watches           = "watch held against the truth"
	WatchesEnded      = "watch that ended"
	ListCertified     = "list certified"
	ListLost          = "loss told of a list"
	Claims            = "claim answered 201"
	ClaimsJoined      = "claim answered 201 beside moves"
	ClaimsRefused     = "claim of somebody else's"
	NamesTwice        = "name with two contents"
	Displaced         = "displaced event"
	Full              = "full history"
	Absorbed          = "event of a deleted resource"
	Snapshots         = "snapshot of the ledger written"
	Started           = "start held against the ledger"
	Finished          = "upgrade finished"
	Restores          = "database restored"
	ClaimsLost        = "claim lost with a restore"
	Erasures          = "tenant erased"
	ErasuresPut       = "erasure put off for a pending job"
	ErasuresLeft      = "erasure that was to be made again"
	KilledEraser      = "kill inside an erasure"
	ErasedResources   = "resource deleted by an erasure"
	ErasedMoves       = "move of an erased tenant renamed"
	ErasedLate        = "resource of an erased tenant that came late"
	Published         = "claim or retraction published to the log"
	Swept             = "published by another process than stored it"
	KilledUnpublished = "kill between a commit and its publication"
)

// Kinds of the throttle's world.
const (
	Admitted      = "request admitted"
	FromMemory    = "request admitted without the store"
	Refused       = "request refused"
	Unavailable   = "request without an answer of the store"
	Rolled        = "window begun after the last"
	Resets        = "window reset by an operator"
	PoliciesNew   = "policy changed"
	GaveBack      = "block given back"
	AmbiguousTake = "answer of a claim lost"
	AmbiguousGive = "answer of a give-back lost"
	Stranded      = "kill of a process with a block"
	Drained       = "process drained"
	TotalRefused  = "request refused by its action after its total"
	PartWritten   = "part of a window written"
)

// must are the kinds that each world has to meet over many seeds.
var must = map[bool][]string{
	false: {
		Kills, Errors, Lost, Delays, Stops, Clocks, Silence, Conflicts, Duplicates, Reordered, Days, Expired, KilledUnacked, KilledRewriter,
		Allowed, Remembered, Watches, WatchesEnded, ListCertified, ListLost, Claims, ClaimsJoined, ClaimsRefused, NamesTwice, Displaced, Full, Absorbed, Finished,
		Snapshots, Started, Erasures, ErasuresPut, KilledEraser, ErasedResources, ErasedMoves, ErasedLate,
		Published, Swept, KilledUnpublished,
	},
	true: {
		Kills, Errors, Lost, Delays, Stops, Clocks, Silence, Conflicts, Admitted, FromMemory, Refused, Unavailable, Rolled, Resets, PoliciesNew,
		GaveBack, AmbiguousTake, AmbiguousGive, Stranded, Drained, TotalRefused, PartWritten,
	},
}

// Add sums up runs.
func (t Trouble) Add(u Trouble) {
	for kind, n := range u {
		t[kind] += n
	}
}

// Missing names the kinds of trouble that were not met.
func (t Trouble) Missing(throttle bool) (kinds []string) {
	return slices.DeleteFunc(slices.Clone(must[throttle]), func(kind string) bool { return t[kind] > 0 })
}
