//go:build proofs

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// flood asks at a rate, whether or not what it asked before has been answered.
type flood struct {
	client *http.Client

	mu       sync.Mutex
	answers  map[string][]time.Duration // by status; noAnswer is one too
	failure  error                      // the first of those without an answer, or with one that is neither yes nor 503
	bare     int                        // refusals without Retry-After
	unasked  int                        // as many were under way as there may be connections
	inFlight sync.WaitGroup
	slots    chan struct{}
}

// mostAsked is how many are under way at most: the server takes 4,096 connections, and
// others wait in the system's queue.
const mostAsked = 4000

const noAnswer = "no answer"

func newFlood() *flood {
	return &flood{
		client:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 5000}, Timeout: time.Minute},
		answers: map[string][]time.Duration{}, slots: make(chan struct{}, mostAsked)}
}

// ask checks whether a tenant has a thread.
func (f *flood) ask(url string) {
	began := time.Now()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("X-Tenant-Id", "t_a")
	response, err := f.client.Do(request)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.answers[noAnswer] = append(f.answers[noAnswer], time.Since(began))
		f.failure = cmp.Or(f.failure, err)
		return
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	status := strconv.Itoa(response.StatusCode)
	if response.StatusCode >= 400 && response.StatusCode != http.StatusServiceUnavailable {
		f.failure = cmp.Or(f.failure, fmt.Errorf("%s: %s", response.Status, text))
	}
	f.answers[status] = append(f.answers[status], time.Since(began))
	if response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") == "" {
		f.bare++
	}
}

// pour asks at a rate for a time, and returns when all is answered.
func (f *flood) pour(rate float64, during time.Duration, url func(i int) string) {
	atRate(rate, during, func(i int) {
		select {
		case f.slots <- struct{}{}:
			f.inFlight.Go(func() { f.ask(url(i)); <-f.slots })
		default:
			f.unasked++
		}
	})
	f.inFlight.Wait()
	f.client.CloseIdleConnections() // those that are kept count, and others would not be let in
}

// tell logs what came of it, and returns how many were answered yes a second, and the
// slowest but for one in a hundred of the refused.
func (f *flood) tell(t *testing.T, what string, during time.Duration) (yes float64, shed time.Duration) {
	for _, status := range slices.Sorted(maps.Keys(f.answers)) {
		all := f.answers[status]
		slices.Sort(all)
		p50, p99 := all[len(all)/2], all[len(all)*99/100]
		t.Logf("%s: %s %d times (%.0f a second), p50 %v, p99 %v", what, status, len(all), float64(len(all))/during.Seconds(), p50.Round(time.Millisecond), p99.Round(time.Millisecond))
		if status == "503" {
			shed = p99
		}
	}
	if f.unasked > 0 {
		t.Logf("%s: %d were not asked, since %d were under way", what, f.unasked, mostAsked)
	}
	return float64(len(f.answers["204"])) / during.Seconds(), shed
}

// requireTold holds that everything was answered: yes, or at once that it should be
// asked again, and when.
func (f *flood) requireTold(t *testing.T) {
	require.NoError(t, f.failure)
	for status := range f.answers {
		require.Contains(t, []string{"204", "503"}, status)
	}
	require.Zero(t, f.bare, "refusals without Retry-After")
}

// slowest returns what 99 of 100 answers took at most.
func (f *flood) slowest(status string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.answers[status]
	slices.Sort(all)
	return all[len(all)*99/100]
}

func (f *flood) count(status string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.answers[status])
}
