package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// bill counts on the wire what each contender is billed for each event. It takes no
// times: the proxy would be part of them.
func (b *bench) bill(ctx context.Context) (string, error) {
	if err := b.fresh(ctx); err != nil {
		return "", err
	}
	meter := wire.NewMeter()
	proxy, err := wire.NewProxy(b.emulators.Firestore.Host, meter.DialOptions()...)
	if err != nil {
		return "", err
	}
	defer proxy.Close()
	t := table{title: "Billed operations per event", header: []string{"reads · writes"}, notes: []string{
		"Documents, counted on the wire between the contender and Firestore; a write whose precondition fails is counted too.",
		"The worker's reads include those of the ledger: one every few seconds, whatever the load.",
	}}
	for _, c := range b.contenders() {
		t.header = append(t.header, c.name)
	}
	for _, w := range b.options.workloads() {
		row := []string{w.name}
		for _, c := range b.contenders() {
			if c.name == "probe" && w.noProbe {
				row = append(row, "–")
				continue
			}
			meter.Reset()
			events := min(b.options.Events, 10_000)
			r, err := b.measure(ctx, setting{contender: c, workload: w, events: events, proxy: proxy.Addr()})
			if err != nil {
				return "", err
			}
			per := func(n int64) float64 { return float64(n) / float64(r.events) }
			cell := fmt.Sprintf("%.3f · %.3f", per(meter.Reads("")), per(meter.Writes("")))
			if r.events == 0 {
				cell = "nothing was settled"
			}
			b.say("billed  %-12s  %-11s  %s%s", w.name, c.name, cell, partly(r))
			row = append(row, cell)
		}
		t.rows = append(t.rows, row)
	}
	return t.String(), nil
}

// memory measures the worker's peak with a backlog that is far larger than what
// it may hold.
func (b *bench) memory(ctx context.Context) (string, error) {
	if err := b.fresh(ctx); err != nil {
		return "", err
	}
	t := table{title: "Memory with a backlog", header: []string{"messages waiting", "peak RSS, MB", "settled meanwhile", "events/s"}, notes: []string{
		"In eight subscriptions of two streams each, as many streams as one subscription has by default: the emulator copies the rest of a subscription's backlog whenever it gives messages out.",
	}}
	for _, backlog := range []int{b.options.Backlog / 10, b.options.Backlog} {
		r, err := b.backlog(ctx, backlog)
		if err != nil {
			return "", err
		}
		b.say("memory  backlog %d: %d MB, %d settled, %.0f events/s", backlog, r.peak>>20, r.events, r.rate)
		t.rows = append(t.rows, []string{fmt.Sprint(backlog), fmt.Sprintf("**%d**", r.peak>>20), fmt.Sprint(r.events), fmt.Sprintf("%.0f", r.rate)})
	}
	return t.String(), nil
}

// backlog follows the worker until all is settled, however long that takes. The
// emulator copies the rest of a subscription's backlog whenever it gives messages
// out, so that is spread over eight subscriptions. Each has two streams: together
// as many as one subscription has by default.
func (b *bench) backlog(ctx context.Context, n int) (r result, err error) {
	const parts = 8
	var waiting []string
	for i := range parts {
		waiting = append(waiting, fmt.Sprintf("backlog-%d.realtime-registry", i))
	}
	s, err := newStage(ctx, b.emulators, waiting)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for i, name := range waiting {
		topic, _, _ := strings.Cut(name, ".")
		if err := s.publishTo(ctx, topic, creations(i*n/parts, (i+1)*n/parts, tenants)); err != nil {
			return r, err
		}
	}
	patient := *b
	patient.options.Limit = 10 * time.Minute
	return patient.consume(ctx, s, setting{
		contender: b.worker("--subscriptions", strings.Join(waiting, ","), "--streams", "2"),
		workload:  workload{name: "backlog"},
	}, n)
}

// growth measures the worker with more and more documents in the registry.
func (b *bench) growth(ctx context.Context) (string, error) {
	t := table{title: "As the registry grows", header: []string{"documents before", "fresh, events/s", "duplicates, events/s"}, notes: []string{
		"The emulator keeps everything in memory, and its own speed falls as that fills; the service's does not.",
	}}
	var all []setting
	for _, documents := range b.options.Scales {
		for _, w := range []workload{
			{name: "fresh", seed: between(0, documents), events: between(documents, documents+b.options.Events)},
			{name: "duplicates", seed: between(0, documents), events: between(max(0, documents-b.options.Events), documents)},
		} {
			all = append(all, setting{contender: b.worker(), workload: w, events: b.options.Events})
		}
	}
	rates, err := b.repeat(ctx, all)
	if err != nil {
		return "", err
	}
	for i, documents := range b.options.Scales {
		t.rows = append(t.rows, []string{fmt.Sprint(documents), spread(rates[2*i], "%.0f"), spread(rates[2*i+1], "%.0f")})
	}
	return t.String(), nil
}

// repeat measures each setting three times, or as often as there are runs if
// that is less, and returns the rates of each. The order is another in each run:
// the first one on new emulators has the slowest ones.
func (b *bench) repeat(ctx context.Context, all []setting) ([][]float64, error) {
	rates := make([][]float64, len(all))
	for run := range min(3, b.options.Runs) {
		for _, i := range rand.New(rand.NewPCG(uint64(run), 0)).Perm(len(all)) {
			m := all[i]
			if err := b.refresh(ctx, m.size()); err != nil {
				return nil, err
			}
			r, err := b.measure(ctx, m)
			if err != nil {
				return nil, err
			}
			b.say("run %d  %-10s  %s  %d process(es)  %s: %.0f events/s  %d + %d µs CPU/event%s", run+1, m.workload.name, m.contender.name,
				max(1, m.processes), strings.Join(m.flags, " "), r.rate, r.cpu.Microseconds(), r.others.Microseconds(), partly(r))
			rates[i] = append(rates[i], r.rate)
		}
	}
	return rates, nil
}

// workers measures several processes side by side, the worker's and the probe's.
func (b *bench) workers(ctx context.Context) (string, error) {
	t := table{title: "Several workers", header: []string{"events/s", "processes", "probe", "worker", "worker / probe"}, notes: []string{
		"All on the same cores, so more processes cannot be faster here. What the probe loses is the emulators and the cores: each process has 16 streams of its own.",
	}}
	var all []setting
	for _, w := range allWorkloads("")[:3] {
		for _, n := range []int{1, 2, 4} {
			for _, c := range b.contenders()[:2] {
				all = append(all, setting{contender: c, workload: w, events: b.options.Events, processes: n})
			}
		}
	}
	rates, err := b.repeat(ctx, all)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(all); i += 2 {
		probe, worker := rates[i], rates[i+1]
		t.rows = append(t.rows, []string{all[i].workload.name, fmt.Sprint(all[i].processes),
			spread(probe, "%.0f"), spread(worker, "%.0f"), ratio(median(worker), median(probe))})
	}
	return t.String(), nil
}

// sweep varies one setting at a time; the others have their defaults.
func (b *bench) sweep(ctx context.Context) (string, error) {
	t := table{title: "Settings", header: []string{"setting", "value", "fresh, events/s", "duplicates, events/s"}, notes: []string{
		"One is varied at a time; the others have their defaults, which are in bold.",
	}}
	workloads := allWorkloads("")[:2]
	var all []setting
	for _, s := range []struct {
		flag   string
		values []string
		usual  string
	}{
		{"--streams", []string{"1", "4", "8", "16", "32"}, "16"},
		{"--max-outstanding", []string{"1000", "3000", "10000"}, "3000"},
	} {
		for _, value := range s.values {
			for _, w := range workloads {
				all = append(all, setting{contender: b.worker(), workload: w, events: b.options.Events, flags: []string{s.flag, value}})
			}
			if value == s.usual {
				value = "**" + value + "**"
			}
			t.rows = append(t.rows, []string{"`" + s.flag + "`", value})
		}
	}
	rates, err := b.repeat(ctx, all)
	if err != nil {
		return "", err
	}
	for i := range t.rows {
		t.rows[i] = append(t.rows[i], spread(rates[2*i], "%.0f"), spread(rates[2*i+1], "%.0f"))
	}
	return t.String(), nil
}

// profile writes a CPU profile of the worker under the first workload.
func (b *bench) profile(ctx context.Context) (string, error) {
	if err := b.fresh(ctx); err != nil {
		return "", err
	}
	c := contender{name: "worker", command: []string{b.self, "peer", "-name", "worker", "-profile", b.options.Profile}, peer: true}
	r, err := b.measure(ctx, setting{contender: c, workload: b.options.workloads()[0], events: b.options.Events})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("CPU profile of %d events (%s) in %s: go tool pprof -top %s\n", r.events, b.options.workloads()[0].name, b.options.Profile, b.options.Profile), nil
}
