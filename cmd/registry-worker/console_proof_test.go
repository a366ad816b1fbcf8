//go:build proofs

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/browser"
)

// eventsASecond is the load under which the console is looked at, and lookedFor how
// long that is measured.
const (
	eventsASecond = 1000
	lookedFor     = time.Minute
)

// observed is a registry that a worker applies a thousand events a second to, and a
// server that shows it.
type observed struct {
	program
	serve *emulatortest.Process
	url   string
}

func underLoad(t *testing.T) observed {
	t.Helper()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, worker := c.service("run", "--rate", "200")
	serve, url := c.service("serve", "--console-peers", worker)
	c.run(exitDone, "publish", write(t, threads("t_initech", "th_big", 3000)...))
	require.Eventually(t, func() bool { return sum(t, worker, "registry_events_total") == 3000 }, 5*time.Minute, 100*time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	published := make(chan struct{})
	go func() { defer close(published); c.publishAllTheWhile(ctx) }()
	t.Cleanup(func() { stop(); <-published })
	return observed{c, serve, url}
}

// open shows the console once it is live.
func (o observed) open() *browser.Page {
	page := browser.Show(o.t, o.url+"/console")
	page.As(browser.Look{Width: 1360, Height: 900})
	page.Until("document.getElementById('state').className === 'live' && document.body.innerText.includes('publish to ack')", time.Minute)
	return page
}

// What the page costs, itself and in serve, while a worker applies a thousand events a
// second.
func TestProofTheConsoleUnderAThousandEventsASecond(t *testing.T) {
	o := underLoad(t)
	idle := usage(t, o.serve.PID())
	time.Sleep(lookedFor / 4)
	unseen := usage(t, o.serve.PID()).since(idle)
	page := o.open()
	page.Until("document.querySelector('.big')", time.Minute)
	before, work := usage(t, o.serve.PID()), pageWork(page)
	time.Sleep(lookedFor)
	seen, worked := usage(t, o.serve.PID()).since(before), pageWork(page)
	t.Logf("serve, nobody looks: %s; one page is open: %s", unseen, seen)
	t.Logf("the page: %.2f %% of a core, %.1f MB of heap, %.0f nodes", 100*(worked["TaskDuration"]-work["TaskDuration"])/lookedFor.Seconds(),
		worked["JSHeapUsedSize"]/1e6, worked["Nodes"])
	var rate string
	page.Run(&rate, "return document.querySelector('.big').textContent")
	t.Logf("the page shows %s", rate)
	require.Less(t, worked["Nodes"], 10_000., "the page grows")
	require.Less(t, seen.memory, int64(256<<20))
}

// The pictures in the documentation, of that load: `make screenshots` writes them.
func TestProofTheConsoleInPictures(t *testing.T) {
	dir := os.Getenv("CONSOLE_SCREENSHOTS")
	if dir == "" {
		t.Skip("it proves nothing: it takes the pictures of the documentation, for `make screenshots`")
	}
	o := underLoad(t)
	o.leaveScreenshots(o.open(), o.url, dir)
}

// leaveScreenshots leaves what the page looks like with a move under way, a tenant that
// is throttled and dead letters, in a directory.
func (c program) leaveScreenshots(page *browser.Page, url, dir string) {
	t := c.t
	c.run(exitDone, "publish", write(t, tenantMoved("move-initech-2026", "2024-02-01T00:00:00Z", "t_initech", "t_hooli")))
	for i := range 400 {
		get(t, url+fmt.Sprintf("/v1/threads/th_%d/access", 1+i%40), fmt.Sprintf("t_%d", 1+i%50))
	}
	for range 120 {
		do(t, "POST", url+"/v1/quota/stream_connect/take", "t_globex")
	}
	page.Until("document.body.innerText.includes('move-initech-2026') && document.querySelector('progress')", 2*time.Minute)
	page.Until("document.body.innerText.includes('t_globex')", time.Minute)
	for _, s := range []struct {
		name, place   string
		width, height int
		dark          bool
	}{
		{"console", "#/", 1360, 1000, false}, {"console-dark", "#/", 1360, 1000, true}, {"console-narrow", "#/", 420, 900, false},
		{"console-narrow-dark", "#/", 420, 900, true}, {"console-wide", "#/", 2200, 1000, false}, {"console-dead-letters", "#/dead-letters", 1360, 700, true},
	} {
		page.As(browser.Look{Width: s.width, Height: s.height, Dark: s.dark})
		page.Run(nil, "location.hash = arguments[0]", s.place)
		if s.name == "console-dead-letters" {
			page.Until("document.querySelector('main button')", time.Minute)
			page.Run(nil, "document.querySelector('main button').click()")
			page.Until("document.querySelector('main table')", time.Minute)
		}
		page.Until("document.querySelector('main .panel') && !document.body.innerText.includes('looking …')", time.Minute)
		time.Sleep(300 * time.Millisecond) // what fades in is there
		require.NoError(t, os.WriteFile(filepath.Join(dir, s.name+".png"), page.Screenshot(), 0o644))
	}
	page.As(browser.Look{Width: 1360, Height: 900})
	page.Run(nil, "location.hash = '#/'")
}

// publishAllTheWhile publishes creations at their rate, and now and then what will be
// refused.
func (c program) publishAllTheWhile(ctx context.Context) {
	client, err := pubsub.NewClient(ctx, c.project.ID, c.project.PubSubOptions()...)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer client.Close()
	publisher := client.Publisher("nexus-thread-created")
	defer publisher.Stop()
	const a = 20 // portions a second
	tick := time.NewTicker(time.Second / a)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for range eventsASecond / a {
			n++
			attributes := map[string]string{"ce-specversion": "1.0", "ce-id": strconv.Itoa(n), "ce-source": "//nexus/threads",
				"ce-type": "nexus.thread.created.v1", "ce-time": time.Now().UTC().Format(time.RFC3339Nano)}
			data := fmt.Sprintf(`{"tenant_id":"t_%d","thread_id":"th_%d"}`, n%1000, n)
			switch n % 3000 {
			case 0:
				delete(attributes, "ce-time")
			case 1000:
				data = `{"tenant_id":"acme","thread_id":"th_1"}`
			case 2000:
				data = `{"tenant_id":"t_other","thread_id":"th_1"}`
			}
			publisher.Publish(ctx, &pubsub.Message{Attributes: attributes, Data: []byte(data)})
		}
	}
}

// used is what a process has used.
type used struct {
	at     time.Time
	cpu    time.Duration
	memory int64 // resident, in bytes
}

func (u used) String() string {
	return fmt.Sprintf("%.2f %% of a core, %d MB resident", 100*u.cpu.Seconds()/time.Since(u.at).Seconds(), u.memory>>20)
}

// since is what was used after before, which lasts until now.
func (u used) since(before used) used {
	elapsed := u.at.Sub(before.at)
	return used{time.Now().Add(-elapsed), u.cpu - before.cpu, u.memory}
}

// usage reads /proc (proc(5)): times are in ticks of 10 ms, memory in pages.
func usage(t *testing.T, pid int) used {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	number := func(i int) int64 {
		n, err := strconv.ParseInt(fields[i-3], 10, 64)
		require.NoError(t, err)
		return n
	}
	return used{time.Now(), time.Duration(number(14)+number(15)) * 10 * time.Millisecond, number(24) * int64(os.Getpagesize())}
}

// pageWork is what the browser says that the page has cost.
func pageWork(page *browser.Page) map[string]float64 {
	page.DevTools("Performance.enable", map[string]any{}, nil)
	var found struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	page.DevTools("Performance.getMetrics", map[string]any{}, &found)
	all := map[string]float64{}
	for _, m := range found.Metrics {
		all[m.Name] = m.Value
	}
	return all
}
