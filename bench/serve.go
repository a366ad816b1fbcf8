package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	connections    = 32   // kept alive, each with one request at a time
	checkedThreads = 1000 // all of them in the server's memory
)

// load is what one server did.
type load struct {
	rate  float64         // requests/s
	times []time.Duration // sorted
}

// serve puts `registry-worker serve` under the load of this process, beside a
// server that answers 204 and does nothing else. Every request is a check of a
// thread by its owner.
func (b *bench) serve(ctx context.Context) (string, error) {
	if err := b.fresh(ctx); err != nil {
		return "", err
	}
	s, err := newStage(ctx, b.emulators, subscriptions)
	if err != nil {
		return "", err
	}
	defer func() { _ = s.close(context.WithoutCancel(ctx)) }()
	if err := s.seed(ctx, creations(0, checkedThreads, tenants)); err != nil {
		return "", err
	}
	names, measures := []string{}, []string{"requests/s", "p50, µs", "p99, µs", "p99.9, µs"}
	results := map[string][][]float64{} // by server, by measure
	for _, c := range b.servers() {
		names = append(names, c.name)
		results[c.name] = make([][]float64, len(measures))
	}
	for run := range b.options.Runs {
		for i := range b.servers() {
			c := b.servers()[(i+run)%len(b.servers())]
			l, err := b.load(ctx, s, c)
			if err != nil {
				return "", fmt.Errorf("%s: %w", c.name, err)
			}
			row := []float64{l.rate}
			for _, permille := range []int{500, 990, 999} {
				row = append(row, float64(l.times[len(l.times)*permille/1000].Nanoseconds())/1000)
			}
			b.say("serve  run %d/%d  %-5s  %.0f requests/s, p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs", run+1, b.options.Runs, c.name, row[0], row[1], row[2], row[3])
			for j, v := range row {
				results[c.name][j] = append(results[c.name][j], v)
			}
		}
	}
	t := table{title: "Checks over HTTP", header: []string{"median of the runs (lowest to highest)", "bare", "serve", "serve / bare"}, notes: []string{
		fmt.Sprintf("%d connections of another process on the same cores, for %d s, ask for %d threads, which are in memory. `bare` is a Go server that answers 204 to everything.",
			connections, b.options.Seconds, checkedThreads),
	}}
	for j, measure := range measures {
		row := []string{measure}
		for _, name := range names {
			row = append(row, spread(results[name][j], "%.0f"))
		}
		t.rows = append(t.rows, append(row, ratio(median(results["serve"][j]), median(results["bare"][j]))))
	}
	return t.String(), nil
}

// load starts a server, has it read every thread once, and measures.
func (b *bench) load(ctx context.Context, s *stage, c contender) (l load, err error) {
	p, err := c.start(s, setting{}.environ(s.firestoreHost))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	requests := make([][]byte, checkedThreads)
	for i := range requests {
		e := creation(i, tenants)
		thread, tenant := createdThread(e)
		requests[i] = fmt.Appendf(nil, "GET /v1/threads/%s/access HTTP/1.1\r\nHost: %s\r\nX-Tenant-Id: %s\r\n\r\n", thread, p.address, tenant)
	}
	if _, err := ask(ctx, p.address, requests, 2*time.Second); err != nil {
		return l, err
	}
	span := time.Duration(b.options.Seconds) * time.Second
	l.times, err = ask(ctx, p.address, requests, span)
	l.rate = float64(len(l.times)) / span.Seconds()
	return l, err
}

// ask sends requests over many connections for a while, and returns how long
// each took, sorted. Another answer than 204 is an error.
func ask(ctx context.Context, address string, requests [][]byte, span time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	end := time.Now().Add(span)
	for n := range connections {
		group.Go(func() error {
			times, err := askAlone(ctx, address, requests, n*len(requests)/connections, end)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			return err
		})
	}
	err := group.Wait()
	slices.Sort(all)
	if len(all) == 0 && err == nil {
		err = errors.New("no request was answered")
	}
	return all, err
}

func askAlone(ctx context.Context, address string, requests [][]byte, next int, end time.Time) (times []time.Duration, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for ctx.Err() == nil {
		sent := time.Now()
		if sent.After(end) {
			return times, nil
		}
		if _, err := conn.Write(requests[next%len(requests)]); err != nil {
			return times, err
		}
		status, err := answer(answers)
		if err != nil {
			return times, err
		}
		if status != http.StatusNoContent {
			return times, fmt.Errorf("%q: status %d", requests[next%len(requests)], status)
		}
		times = append(times, time.Since(sent))
		next++
	}
	return times, ctx.Err()
}

// answer reads a response without a body: the status line and the headers.
func answer(r *bufio.Reader) (status int, err error) {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if first {
			if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &status); err != nil {
				return 0, fmt.Errorf("%q: %w", line, err)
			}
		}
		if len(line) <= 2 {
			return status, nil
		}
	}
}
