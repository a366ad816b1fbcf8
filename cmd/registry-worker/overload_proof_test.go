//go:build proofs

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// flood asks at a rate, whether or not what it asked before has been answered.
type flood struct {
	client *http.Client

	mu       sync.Mutex
	answers  map[string][]time.Duration // by status; noAnswer is one too
	failure  error                      // the first of those without an answer
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
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	status := strconv.Itoa(response.StatusCode)
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

// memory returns the resident memory of a process in MB, and the most that it had.
func memory(t *testing.T, p *emulatortest.Process) (now, most int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			now = kb >> 10
		case "VmHWM":
			most = kb >> 10
		}
	}
	return now, most
}

// owned makes threads of a tenant, whose checks it returns.
func (c program) owned(n int) func(url string) func(i int) string {
	c.replay(threads("t_a", "th", n)...)
	return func(url string) func(i int) string {
		return func(i int) string { return fmt.Sprintf("%s/v1/threads/th_%05d/access", url, i%n) }
	}
}

const (
	// far is a round trip to the store. With it the server's own bounds are what limits
	// it, 2,000 requests in progress, and not the machine, which also has to ask.
	far = time.Second
	// patient is how many ask at once, and wait for the answer, to find out what it can
	// do: nearly as many as may be in progress.
	patient = 1900
	poured  = 15 * time.Second
)

// canDo has as many ask as the server has room for, each when it has been answered, and
// returns how many it answers a second.
func (f *flood) canDo(url func(i int) string) float64 {
	began := time.Now()
	for i := range patient {
		f.inFlight.Go(func() {
			for n := i; time.Since(began) < poured; n += patient {
				f.ask(url(n))
			}
		})
	}
	f.inFlight.Wait()
	f.client.CloseIdleConnections()
	return float64(f.count("204")) / time.Since(began).Seconds()
}

// Checks come at three times what the server can do, each of which reads the store. It
// answers what it can, refuses the others at once, takes no more memory than it needs
// for that, and is well again as soon as it is over.
func TestProofThatAnOverloadedServerAnswersWhatItCan(t *testing.T) {
	c := onEmulators(t)
	check := c.owned(1000)
	p, url := c.service("serve", "--max-staleness", "0", "--log-level", "error")
	c.project.FirestoreRules.Distance(far)
	idle, _ := memory(t, p)
	can := newFlood().canDo(check(url))
	_, full := memory(t, p)
	t.Logf("it can do %.0f checks a second, each of them a read at %v", can, far)

	over := newFlood()
	over.pour(3*can, poured, check(url))
	yes, shed := over.tell(t, "three times that", poured)
	over.requireTold(t)
	now, most := memory(t, p)
	t.Logf("memory: %d MB idle, %d MB at what it can do, %d MB at most, %d MB afterwards", idle, full, most, now)
	c.requireWellAgain(url, check(url))
	require.Greater(t, yes, 0.7*can, "it answers what it can")
	require.Less(t, shed, time.Second, "it refuses at once")
	require.Less(t, most, 400)
}

// A server starts with nothing in memory, and gets at once three times what it could
// read. Within seconds it answers all of it.
func TestProofThatAColdServerUnderFullLoadIsWarmWithinSeconds(t *testing.T) {
	c := onEmulators(t)
	check := c.owned(5000)
	warmed, url := c.service("serve", "--max-staleness", "0", "--log-level", "error")
	c.project.FirestoreRules.Distance(far)
	can := newFlood().canDo(check(url))
	warmed.Kill()
	c.project.FirestoreRules.Distance(0)
	p, url := c.service("serve", "--max-staleness", "10s", "--log-level", "error") // a certificate takes two round trips
	c.project.FirestoreRules.Distance(far)
	cold := newFlood()
	began, last := time.Now(), make(chan time.Duration, 1)
	go func() { // when something was refused last
		refused, at := 0, time.Duration(0)
		for time.Since(began) < poured {
			time.Sleep(100 * time.Millisecond)
			if n := cold.count("503"); n > refused {
				refused, at = n, time.Since(began)
			}
		}
		last <- at
	}()
	cold.pour(3*can, poured, check(url))
	yes, _ := cold.tell(t, fmt.Sprintf("cold, at three times %.0f", can), poured)
	cold.requireTold(t)
	after := <-last
	_, most := memory(t, p)
	t.Logf("%.0f a second in all; nothing was refused any more after %v; %d MB at most", yes, after.Round(100*time.Millisecond), most)
	c.requireWellAgain(url, check(url))
	require.Less(t, after, 10*time.Second)
	require.Less(t, most, 400)
}

func (f *flood) count(status string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.answers[status])
}

// requireWellAgain holds that within ten seconds everything is answered as before.
func (c program) requireWellAgain(url string, check func(i int) string) {
	c.t.Helper()
	began := time.Now()
	for {
		after := newFlood()
		after.pour(50, time.Second, check)
		if after.count("503") == 0 {
			break
		}
		after.tell(c.t, "afterwards", time.Second)
		require.Less(c.t, time.Since(began), 10*time.Second)
	}
	c.t.Logf("well again: all was answered that was asked after %v", (time.Since(began) - far - time.Second).Round(100*time.Millisecond))
	require.Equal(c.t, http.StatusOK, get(c.t, url+"/readyz", ""))
}
