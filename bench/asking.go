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
