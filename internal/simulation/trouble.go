package simulation

import "slices"

// Trouble counts what a run met. A run that met too little proves little.
type Trouble struct {
	Duplicates     int // deliveries of a message that was settled, or is being applied
	Ambiguous      int // commits whose answer was lost
	Conflicts      int // commits that failed on their precondition
	KilledUnacked  int // kills between a commit and its acknowledgement
	KilledRewriter int // kills inside a rewriting job
	Kills          int
	Steps          int
	Allowed        int // checks that were answered yes
	Checks         int // of those, by what the verifier had kept
	Watches        int // held against the truth while they were open
	WatchesEnded   int // of those, ended by a change, or for want of a certificate

	Claims        int // claims that were answered yes
	ClaimsJoined  int // of those, claims of what moves had named before
	ClaimsRefused int // claims of what was somebody else's
	NamesTwice    int // events refused because their name had another content
	Displaced     int // events that took the place of an acknowledged one
	Full          int // moves refused because a history was full
}

// Add sums up runs.
func (t *Trouble) Add(u Trouble) {
	t.Duplicates += u.Duplicates
	t.Ambiguous += u.Ambiguous
	t.Conflicts += u.Conflicts
	t.KilledUnacked += u.KilledUnacked
	t.KilledRewriter += u.KilledRewriter
	t.Kills += u.Kills
	t.Steps += u.Steps
	t.Allowed += u.Allowed
	t.Checks += u.Checks
	t.Watches += u.Watches
	t.WatchesEnded += u.WatchesEnded
	t.Claims += u.Claims
	t.ClaimsJoined += u.ClaimsJoined
	t.ClaimsRefused += u.ClaimsRefused
	t.NamesTwice += u.NamesTwice
	t.Displaced += u.Displaced
	t.Full += u.Full
}

// WithoutReaders is what all met but the readers.
func (t Trouble) WithoutReaders() Trouble {
	t.Allowed, t.Checks, t.Watches, t.WatchesEnded = 0, 0, 0, 0
	return t
}

// Missing names the kinds of trouble that were not met.
func (t Trouble) Missing() (kinds []string) {
	for name, n := range map[string]int{
		"duplicate": t.Duplicates, "ambiguous commit": t.Ambiguous, "precondition conflict": t.Conflicts,
		"kill between commit and ack": t.KilledUnacked, "kill inside the rewriting job": t.KilledRewriter,
		"check of a cached answer": t.Checks, "watch that ended": t.WatchesEnded, "claim": t.Claims, "claim of what moves name": t.ClaimsJoined,
		"claim of somebody else's": t.ClaimsRefused, "name with two contents": t.NamesTwice, "displaced event": t.Displaced,
		"full history": t.Full,
	} {
		if n == 0 {
			kinds = append(kinds, name)
		}
	}
	slices.Sort(kinds)
	return kinds
}
