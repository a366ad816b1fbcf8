package console

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// live takes samples while there are viewers, and gives each to all of them.
type live struct {
	console *Console

	mu       sync.Mutex
	watching map[chan []byte]bool
	stop     context.CancelFunc // of the samples; nil: none are taken
	last     []byte             // the last sample; nil: none for the present viewers
}

func newLive(c *Console) *live { return &live{console: c, watching: map[chan []byte]bool{}} }

// join returns a channel of samples, which has the last one at once, and a function
// that ends it; false: there are too many viewers already. A sample that is not
// taken in time is replaced by the next.
func (l *live) join() (samples <-chan []byte, leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.watching) >= MaxOpen {
		return nil, nil, false
	}
	c := make(chan []byte, 1)
	if l.last != nil {
		c <- l.last
	}
	l.watching[c] = true
	if l.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		l.stop = stop
		go l.run(ctx)
	}
	return c, func() { l.leave(c) }, true
}

func (l *live) leave(c chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watching, c)
	if len(l.watching) == 0 && l.stop != nil {
		l.stop()
		l.stop, l.last = nil, nil
	}
}

// run takes samples until ctx ends.
func (l *live) run(ctx context.Context) {
	s := &sampler{console: l.console, courses: map[string]course{}}
	tick := time.NewTicker(l.console.options.Every)
	defer tick.Stop()
	for {
		text, err := json.Marshal(s.take(ctx))
		if err != nil {
			l.console.options.Logger.Error("a sample of the console is no JSON", "error", err)
		} else if ctx.Err() == nil {
			l.tell(ctx, text)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *live) tell(ctx context.Context, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return // another run may have begun
	}
	l.last = text
	for c := range l.watching {
		select {
		case <-c: // it was not taken
		default:
		}
		c <- text
	}
}

// sampler makes samples of what it has seen before.
type sampler struct {
	console   *Console
	courses   map[string]course // by the process's name
	rewriting Rewriting
}

// take samples all processes at once.
func (s *sampler) take(ctx context.Context) Sample {
	c := s.console
	var self found
	var others []found
	var group sync.WaitGroup
	group.Go(func() { self = c.self(ctx) })
	group.Go(func() { others = c.ask(ctx, c.peers(ctx)) })
	group.Go(func() { s.readPending(ctx) })
	group.Wait()

	sample := Sample{At: time.Now().UTC(), Throttled: c.options.Throttled.list(), Rewriting: s.rewriting}
	var courses []course
	for _, f := range append([]found{self}, others...) {
		process := f.process()
		if f.Error == "" {
			course := s.courses[f.Name].with(f.digest)
			s.courses[f.Name], courses = course, append(courses, course)
			process.Events = course.rates("events_by_outcome")
			process.Checks = course.rates("checks_from_memory", "checks_read")
		}
		sample.Processes = append(sample.Processes, process)
	}
	sample.Counts, sample.Durations = counts(courses), quantiles(courses)
	return sample
}

func (f found) process() Process {
	p := f.Process
	p.Version, p.Worker, p.API, p.Gauges = f.version, f.worker, f.api, f.gauges
	if p.Gauges == nil {
		p.Gauges = map[string]float64{}
	}
	return p
}

// self returns this process. It answers, so it is ready if its worker is.
func (c *Console) self(ctx context.Context) found {
	f := found{Process: Process{Name: "this process (" + c.options.Name + ")", Self: true, Ready: true}}
	d, err := gather(time.Now(), c.options.Gatherer)
	if err != nil && len(d.counts) == 0 {
		f.Error = err.Error()
		return f
	}
	f.digest = d
	if c.options.Worker != nil {
		if err := c.options.Worker(ctx); err != nil {
			f.Ready, f.Why = false, err.Error()
		}
	}
	return f
}

// readPending reads what is being rewritten, unless it was read just before.
func (s *sampler) readPending(ctx context.Context) {
	if time.Since(s.rewriting.At) < PendingEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, PendingEvery)
	defer cancel()
	moves, err := s.console.options.Look.Pending(ctx)
	s.rewriting = Rewriting{Moves: moves, At: time.Now().UTC()}
	if err != nil {
		s.rewriting.Moves, s.rewriting.Error = nil, err.Error()
	}
}
