package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// bill counts what each contender is billed for each event, on the wire. It is
// not timed: the proxy costs time.
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
		t.rows = append(t.rows, append([]string{fmt.Sprint(documents)}, rates[2*i:2*i+2]...))
	}
	return t.String(), nil
}

// repeat measures each setting three times, or as often as there are runs where
// that is less, in turn, and returns the rate of each.
func (b *bench) repeat(ctx context.Context, all []setting) ([]string, error) {
	rates := make([][]float64, len(all))
	for run := range min(3, b.options.Runs) {
		for i, m := range all {
			if err := b.refresh(ctx); err != nil {
				return nil, err
			}
			r, err := b.measure(ctx, m)
			if err != nil {
				return nil, err
			}
			b.say("run %d  %s  %d process(es)  %s: %.0f events/s%s", run+1, m.workload.name, max(1, m.processes), strings.Join(m.flags, " "), r.rate, partly(r))
			rates[i] = append(rates[i], r.rate)
		}
	}
	out := make([]string, len(all))
	for i := range all {
		out[i] = spread(rates[i], "%.0f")
	}
	return out, nil
}

// workers measures several worker processes side by side.
func (b *bench) workers(ctx context.Context) (string, error) {
	t := table{title: "Several workers", header: []string{"processes", "fresh, events/s", "duplicates, events/s", "mix, events/s"}, notes: []string{
		"On the same cores: more processes are not to be faster here, only not slower.",
	}}
	workloads, processes := allWorkloads("")[:3], []int{1, 2, 4}
	var all []setting
	for _, n := range processes {
		for _, w := range workloads {
			all = append(all, setting{contender: b.worker(), workload: w, events: b.options.Events, processes: n})
		}
	}
	rates, err := b.repeat(ctx, all)
	if err != nil {
		return "", err
	}
	for i, n := range processes {
		t.rows = append(t.rows, append([]string{fmt.Sprint(n)}, rates[i*len(workloads):(i+1)*len(workloads)]...))
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
		{"--batch-size", []string{"20", "100", "500"}, "500"},
		{"--max-outstanding", []string{"1000", "3000", "10000"}, "3000"},
		{"--linger", []string{"1ms", "5ms", "20ms"}, "5ms"},
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
		t.rows[i] = append(t.rows[i], rates[i*len(workloads):(i+1)*len(workloads)]...)
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
