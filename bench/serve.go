package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	connections    = 32   // kept alive, each with one request at a time
	checkedThreads = 1000 // all of them in the server's memory
)

// load is what one server did in one run, all its turns together.
type load struct {
	took  []time.Duration // of each request; sorted by end
	spent time.Duration
	cpu   time.Duration // of the server
}

func (l *load) end() { slices.Sort(l.took) }

// serve puts `registry-worker serve` under the load of this process, beside a
// server that answers 204 and does nothing else. Every request is a check of a
// thread by its owner. Both servers run all the time, and are asked by turns: what
// else the machine does meets both.
func (b *bench) serve(ctx context.Context) (_ string, err error) {
	s, err := b.checkedStage(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close(context.WithoutCancel(ctx)) }()
	var servers []*process
	for _, c := range b.servers() {
		p, err := c.start(s, setting{}.environ(s.firestoreHost))
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, p.stop()) }()
		servers = append(servers, p)
		if _, err := ask(ctx, p.address, checks(p.address), 2*time.Second); err != nil { // every thread is read once
			return "", fmt.Errorf("%s: %w", p.name, err)
		}
	}
	results := map[string][][]float64{} // by server, by measure
	for run := range b.options.Runs {
		loads, err := b.turns(ctx, servers)
		if err != nil {
			return "", err
		}
		for i, l := range loads {
			row := l.measures()
			name := servers[i].name
			b.say("serve  run %d/%d  %-5s  %.0f requests/s, p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs, CPU %.1f µs", run+1, b.options.Runs, name, row[0], row[1], row[2], row[3], row[4])
			if results[name] == nil {
				results[name] = make([][]float64, len(row))
			}
			for j, v := range row {
				results[name][j] = append(results[name][j], v)
			}
		}
	}
	return b.serveTable(results), nil
}

// checkedStage returns a stage of its own emulators with the threads that are checked.
func (b *bench) checkedStage(ctx context.Context) (*stage, error) {
	if err := b.cold(ctx); err != nil {
		return nil, err
	}
	s, err := newStage(ctx, b.emulators, subscriptions)
	if err != nil {
		return nil, err
	}
	if err := s.seed(ctx, creations(0, checkedThreads, tenants)); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// serveMeasures are the rows of the table, in the order of load.measures.
var serveMeasures = []struct{ name, format string }{
	{"requests/s", "%.0f"}, {"p50, µs", "%.0f"}, {"p99, µs", "%.0f"}, {"p99.9, µs", "%.0f"}, {"CPU of the server for a request, µs", "%.1f"},
}

func (l *load) measures() []float64 {
	row := []float64{float64(len(l.took)) / l.spent.Seconds()}
	for _, permille := range []int{500, 990, 999} {
		row = append(row, float64(l.took[len(l.took)*permille/1000].Nanoseconds())/1000)
	}
	return append(row, float64(l.cpu.Nanoseconds())/1000/float64(len(l.took)))
}

func (b *bench) serveTable(results map[string][][]float64) string {
	t := table{title: "Checks over HTTP", header: []string{"median of the runs (lowest to highest)", "bare", "serve", "serve / bare"}, notes: []string{
		fmt.Sprintf("%d connections of another process on the same cores ask for %d threads, which are in memory: both servers by turns of %v, for %d s each in a run. `bare` is a Go server that answers 204 to everything.",
			connections, checkedThreads, turn, b.options.Seconds),
		"Each connection asks again as soon as it is answered, so nothing is idle, and the tails are what waits for a processor. Both programs run as they are shipped, with Go's settings: `serve` with its telemetry, its limits on connections, and the 32 MiB of garbage that it lets gather.",
	}}
	for j, m := range serveMeasures {
		row := []string{m.name}
		for _, name := range t.header[1:3] {
			row = append(row, spread(results[name][j], m.format))
		}
		t.rows = append(t.rows, append(row, ratio(median(results["serve"][j]), median(results["bare"][j]))))
	}
	return t.String()
}

// turn is how long one server is asked before it is the other's turn.
const turn = 250 * time.Millisecond

// turns asks the servers by turns, each for as long as the options say in all.
func (b *bench) turns(ctx context.Context, servers []*process) ([]*load, error) {
	loads := make([]*load, len(servers))
	for i := range loads {
		loads[i] = &load{}
	}
	n := max(1, int(time.Duration(b.options.Seconds)*time.Second/turn))
	for i := range n {
		for j := range servers {
			k := (i + j) % len(servers)
			p, l := servers[k], loads[k]
			before, began := p.used(), time.Now()
			took, err := ask(ctx, p.address, checks(p.address), turn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			l.took, l.spent, l.cpu = append(l.took, took...), l.spent+time.Since(began), l.cpu+p.used()-before
		}
	}
	for _, l := range loads {
		l.end()
	}
	return loads, nil
}

// checks are the requests that are sent again and again.
func checks(address string) [][]byte {
	requests := make([][]byte, checkedThreads)
	for i := range requests {
		thread, tenant := createdThread(creation(i, tenants))
		requests[i] = fmt.Appendf(nil, "GET /v1/threads/%s/access HTTP/1.1\r\nHost: %s\r\nX-Tenant-Id: %s\r\n\r\n", thread, address, tenant)
	}
	return requests
}

// used is the processor time of a process that runs, of all its threads, to the
// nanosecond; 0 if it cannot be known.
func (p *process) used() (sum time.Duration) {
	dir := fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid)
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, t := range threads {
		var onCPU time.Duration
		text, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err == nil {
			_, _ = fmt.Sscan(string(text), &onCPU) // one that has ended is 0
		}
		sum += onCPU
	}
	return sum
}
