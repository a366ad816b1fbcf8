package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// result is one measurement.
type result struct {
	rate   float64       // events/s
	cpu    time.Duration // of the contender's processes, per event
	others time.Duration // of the emulators, per event
	peak   int64         // bytes, the largest of the processes
	events int           // settled
	all    bool          // every message was settled
}

// setting is what one measurement is of.
type setting struct {
	contender contender
	workload  workload
	events    int
	processes int      // of the contender; 0 means 1
	flags     []string // for the contender
	proxy     string   // between the contender and Firestore; empty: none
	away      *away    // between the contender and the emulators; nil: none
}

// size is how many messages and documents the emulators get.
func (m setting) size() int {
	n := m.events
	if m.workload.seed != nil {
		for range m.workload.seed(m.events) {
			n++
		}
	}
	return n
}

// environ is where the contender finds the emulators.
func (m setting) environ(firestoreHost string) []string {
	if m.away != nil {
		return m.away.environ()
	}
	return []string{"FIRESTORE_EMULATOR_HOST=" + firestoreHost}
}

// measure publishes the workload, starts the contender, and returns how fast it
// settled.
func (b *bench) measure(ctx context.Context, m setting) (r result, err error) {
	s, err := newStage(ctx, b.emulators, subscriptions)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if m.workload.seed != nil {
		if err := s.seed(ctx, m.workload.seed(m.events)); err != nil {
			return r, err
		}
	}
	b.used += m.size()
	out, err := s.publish(ctx, m.workload.events(m.events), true)
	if err != nil {
		return r, fmt.Errorf("publish: %w", err)
	}
	if m.workload.probeReads && m.contender.name == "probe" {
		m.flags = append(m.flags, "-read")
	}
	r, err = b.consume(ctx, s, m, out.events)
	if errors.Is(err, errNothing) && m.contender.foreign {
		return result{}, nil // transactions on one document may get nowhere
	}
	if err != nil || !r.all || m.contender.name == "probe" {
		return r, err
	}
	documents, err := s.documents(ctx)
	if err != nil {
		return r, err
	}
	// What was seeded and not named by an event is there too.
	if want := max(len(out.resources), m.size()-m.events); documents < want {
		return r, fmt.Errorf("%s, %s: %d documents where at least %d were to be", m.contender.name, m.workload.name, documents, want)
	}
	return r, nil
}

// consume starts the processes and follows them until everything is settled, or
// the limit is reached.
func (b *bench) consume(ctx context.Context, s *stage, m setting, total int) (r result, err error) {
	host := s.firestoreHost
	if m.proxy != "" {
		host = m.proxy
	}
	var processes []*process
	stop := func() {
		for _, p := range processes {
			err = errors.Join(err, p.stop())
		}
	}
	defer func() { stop() }()
	emulatorsBefore := b.emulatorsCPU()
	for range max(1, m.processes) {
		p, err := m.contender.start(s, m.environ(host), m.flags...)
		if err != nil {
			return r, err
		}
		processes = append(processes, p)
	}
	if r, err = b.follow(ctx, processes, total); err != nil {
		return r, fmt.Errorf("%s, %s: %w", m.contender.name, m.workload.name, err)
	}
	for _, p := range processes {
		peak, err := p.peakRSS()
		if err != nil {
			return r, err
		}
		r.peak = max(r.peak, peak)
	}
	stop()
	var cpu time.Duration
	for _, p := range processes {
		cpu += p.cpu()
	}
	processes = nil
	r.cpu = cpu / time.Duration(max(1, r.events))
	r.others = (b.emulatorsCPU() - emulatorsBefore) / time.Duration(max(1, r.events))
	return r, err
}

// startWithin is how long the first acknowledgement may take.
const startWithin = time.Minute

var errNothing = errors.New("nothing was acknowledged")

// follow asks the processes how far they are. The rate is counted from the first
// acknowledgement that is seen.
func (b *bench) follow(ctx context.Context, processes []*process, total int) (r result, err error) {
	const every = 100 * time.Millisecond // answering costs the contender a millisecond or two
	var first, last time.Time
	before, began := 0, time.Now()
	for {
		settled, sum := time.Now(), 0
		for _, p := range processes {
			n, err := p.settled(ctx)
			if err != nil {
				return r, err
			}
			sum += n
		}
		switch {
		case sum > 0 && first.IsZero():
			first, before = settled, sum
		case first.IsZero() && time.Since(began) > startWithin:
			return r, fmt.Errorf("%w within %v:\n%s", errNothing, startWithin, processes[0].output)
		}
		if sum > r.events {
			r.events, last = sum, settled
		}
		if sum >= total || !first.IsZero() && time.Since(first) > b.options.Limit {
			break
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	r.all = r.events >= total
	if !r.all {
		last = time.Now()
	}
	if took := last.Sub(first).Seconds(); took > 0 {
		r.rate = float64(r.events-before) / took
	}
	return r, nil
}
