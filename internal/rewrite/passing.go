package rewrite

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// How long a job is passed over that met what this version does not understand:
// twice as long after each try, since each try reads all of its documents.
const (
	leastPassing = time.Minute
	mostPassing  = time.Hour
)

// errPassedOver: the job was given back, and the next one may be looked for at
// once. It comes beside registry.ErrTooNew.
var errPassedOver = errors.New("the job waits for a release that understands it")

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
// after its time is forgotten: somebody else has done it.
func (p passing) positions(now time.Time) []int64 {
	maps.DeleteFunc(p, func(_ int64, at pass) bool { return now.Sub(at.until) > mostPassing })
	var positions []int64
	for position, at := range p {
		if now.Before(at.until) {
			positions = append(positions, position)
		}
	}
	return slices.Sorted(slices.Values(positions))
}
