// Package crashpoints ends a process at every point at which that can make a
// difference, one after the other: nothing is left to chance, and no point is passed
// over. It is for tests and proofs.
//
// What a process has had an effect on outside of itself is all that is left of it: what
// it has written to a database, published, acknowledged, or put in place of a file. So
// it does not matter when it ends between two effects. Each effect gives two points:
// the process ends before it, or has made it and does not learn of it. Enumerate tries
// both for the first effect, then for the second, and so on, until the process comes to
// its end before the point is reached.
//
// In this process the effects go through Process.Effect, and those on a database
// through the one that Process.DB returns: after the end every call fails, so that
// nothing more can happen, as after SIGKILL. Of a program of its own the effects are
// calls of Firestore and Pub/Sub (Process.DialOptions of a proxy before the emulator),
// and it is killed.
package crashpoints

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
)

// A Point is where a process ends.
type Point struct {
	Effects int  // that the process has made, and knows of
	Lost    bool // it has made one more, and does not know of it
}

// Never is a point that no process reaches.
var Never = Point{Effects: -1}

func (p Point) String() string {
	if p.Lost {
		return fmt.Sprintf("%d effects and one that is not answered", p.Effects)
	}
	return fmt.Sprintf("%d effects", p.Effects)
}

// Enumerate calls try with one point after the other, until a process comes to its end
// before it has reached its point, which try reports. It returns how many were reached.
func Enumerate(try func(Point) (reached bool)) (points int) { return Abreast(1, try) }

// Abreast is Enumerate with n points at a time, for processes that mostly wait. Some
// points behind the last one that is reached are tried too.
func Abreast(n int, try func(Point) (reached bool)) (points int) {
	for ; ; points += n {
		reached := make([]bool, n)
		var tries sync.WaitGroup
		at := func(i int) Point { return Point{Effects: (points + i) / 2, Lost: (points+i)%2 == 1} }
		for i := range n - 1 {
			tries.Go(func() { reached[i] = try(at(i)) })
		}
		reached[n-1] = try(at(n - 1)) // in the caller's goroutine, which may fail a test
		tries.Wait()
		if i := slices.Index(reached, false); i >= 0 {
			return points + i
		}
	}
}

// A Process is one that ends at a point. It is safe for concurrent use: several effects
// at once are made one after the other.
type Process struct {
	ctx  context.Context
	kill context.CancelFunc
	at   Point

	mu      sync.Mutex
	effects []string // all that were begun
	ended   bool
}

// New returns a process that ends at a point.
func New(at Point) *Process {
	p := &Process{at: at}
	p.ctx, p.kill = context.WithCancel(context.Background())
	return p
}

// Context ends with the process.
func (p *Process) Context() context.Context { return p.ctx }

// End ends the process, if it has not ended yet.
func (p *Process) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.kill()
}

// Reached reports whether the process has come to its point, and what it was about to
// do there.
func (p *Process) Reached() (what string, reached bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.at.Effects; n >= 0 && n < len(p.effects) {
		return p.effects[n], true
	}
	return "", false
}

// Effects lists the effects that were begun.
func (p *Process) Effects() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.effects...)
}

// ErrKilled is what a process is told that has ended.
var ErrKilled = errors.New("the process was killed")

var errKilled = status.Error(codes.Unavailable, ErrKilled.Error())

// Effect makes an effect by calling do, or does not. At the process's point, and behind
// it, the error is ErrKilled.
func (p *Process) Effect(what string, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return ErrKilled
	}
	p.effects = append(p.effects, what)
	if len(p.effects) != p.at.Effects+1 {
		return do()
	}
	p.ended = true
	if p.at.Lost {
		_ = do() // whatever it was, the process does not learn of it
	}
	p.kill()
	return ErrKilled
}

// DB returns the database as the process has it: its writes are effects.
func (p *Process) DB(db docdb.DB) docdb.DB {
	return docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		ctx, cancel := context.WithCancel(c.Context)
		defer cancel()
		defer context.AfterFunc(p.ctx, cancel)()
		c.Context = ctx
		if len(c.Writes) == 0 {
			if p.ctx.Err() != nil {
				return errKilled
			}
			return do()
		}
		err := p.Effect(what(c), do)
		if errors.Is(err, ErrKilled) {
			c.Codes, c.Receipt = nil, docdb.Receipt{}
			return errKilled
		}
		return err
	})
}

// what names a write by its documents.
func what(c *docdbtest.Call) string {
	text := c.Method
	for i, w := range c.Writes {
		if i == 3 {
			return fmt.Sprintf("%s and %d more", text, len(c.Writes)-i)
		}
		text += " " + w.Name
	}
	return text
}
