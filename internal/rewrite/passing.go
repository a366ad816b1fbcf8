package rewrite

import (
	"errors"
	"maps"
	"time"
)

// How long a job is passed over that met what this version does not understand:
// twice as long after each try, since each try reads all of its documents.
const (
	leastPassing = time.Minute
	mostPassing  = time.Hour
)

// errPassedOver: what could be done is done, and a job that failed waits for its
// next try. It comes beside why.
var errPassedOver = errors.New("a job waits for its next try")

// passing is what a worker knows of jobs that it gave back because it met what it
// does not understand, by the position of their change. Others may be done before
// them: whichever order the jobs have, every document ends right (docs/moves.md).
type passing map[int64]pass

type pass struct {
	until time.Time
	wait  time.Duration // the last one
}

// over notes that the job of a change was given back, and returns for how long it
// is passed over.
func (p passing) over(position int64, now time.Time) time.Duration {
	wait := min(max(2*p[position].wait, leastPassing), mostPassing)
	p[position] = pass{now.Add(wait), wait}
	return wait
}

// positions are those of the jobs to be passed over. What was not tried for long
// after its time is forgotten: another worker has done it.
func (p passing) positions(now time.Time) map[int64]bool {
	maps.DeleteFunc(p, func(_ int64, at pass) bool { return now.Sub(at.until) > mostPassing })
	positions := map[int64]bool{}
	for position, at := range p {
		if now.Before(at.until) {
			positions[position] = true
		}
	}
	return positions
}
