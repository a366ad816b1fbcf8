package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// farWorkloads are what is measured at each distance.
var farWorkloads = []string{"fresh", "duplicates", "mix", "moves", "hot-tenant", "migration"}

const rulesNote = "All contenders go through the same rules of the services, in a proxy that costs each of them the same CPU for each message, on the same cores: ratios, not rates. `away` is a round trip to Firestore and to Pub/Sub alike."

// distance measures every contender on every workload under the services' rules,
// at each distance, and the time from publish to answer there.
func (b *bench) distance(ctx context.Context) (string, error) {
	t := table{title: "Under the services' rules", header: []string{"events/s, median (lowest to highest)", "distance"}, notes: []string{rulesNote,
		"`migration`: the two peers have nothing to do for a move of a whole tenant, and the probe writes a document for it."}}
	for _, c := range b.contenders() {
		t.header = append(t.header, c.name)
	}
	t.header = append(t.header, "worker / probe", "worker / transaction", "worker / watermill")
	workloads := b.options.workloads()
	if b.options.Workloads == nil {
		workloads = slices.DeleteFunc(workloads, func(w workload) bool { return !slices.Contains(farWorkloads, w.name) })
	}
	for _, w := range workloads {
		for _, roundTrip := range b.options.RoundTrips {
			row, err := b.atDistance(ctx, w, roundTrip)
			if err != nil {
				return "", err
			}
			t.rows = append(t.rows, row)
		}
	}
	latency, err := b.farLatency(ctx)
	return t.String() + "\n" + latency, err
}

// atDistance is one row: all contenders, in an order that changes.
func (b *bench) atDistance(ctx context.Context, w workload, roundTrip time.Duration) ([]string, error) {
	rates := map[string][]float64{}
	for run := range b.options.Runs {
		if err := b.refresh(ctx, len(b.contenders())*setting{workload: w, events: b.options.Events}.size()); err != nil {
			return nil, err
		}
		for i := range b.contenders() {
			c := b.contenders()[(i+run)%len(b.contenders())]
			if c.name == "probe" && w.noProbe {
				continue
			}
			r, err := b.measureAway(ctx, setting{contender: c, workload: w, events: b.options.Events, flags: serviceStreams(c)}, roundTrip)
			if err != nil {
				return nil, err
			}
			b.say("run %d/%d  %-7s  %-12s  %-11s  %6.0f events/s  %4d + %d µs CPU/event%s", run+1, b.options.Runs, far(roundTrip),
				w.name, c.name, r.rate, r.cpu.Microseconds(), r.others.Microseconds(), partly(r))
			rates[c.name] = append(rates[c.name], r.rate)
		}
	}
	row := []string{w.name, far(roundTrip)}
	for _, c := range b.contenders() {
		row = append(row, spread(rates[c.name], "%.0f"))
	}
	for _, other := range []string{"probe", "transaction", "watermill"} {
		row = append(row, ratio(median(rates["worker"]), median(rates[other])))
	}
	return row, nil
}

// serviceStreams is the default if Pub/Sub is the service; the worker takes
// what it is sent to for the emulator.
func serviceStreams(c contender) []string {
	if c.name == "worker" {
		return []string{"--streams", "2"}
	}
	return nil
}

// measureAway measures with rules of its own, which end with it.
func (b *bench) measureAway(ctx context.Context, m setting, roundTrip time.Duration) (result, error) {
	a, err := newAway(b.emulators, roundTrip)
	if err != nil {
		return result{}, err
	}
	defer func() { _ = a.close() }()
	m.away = a
	return b.measure(ctx, m)
}

// farLatency is the suite latency, under the rules at each distance.
func (b *bench) farLatency(ctx context.Context) (string, error) {
	t := table{title: "From publish to answer under the services' rules, at 100 events/s", header: []string{"ms, median of the runs (lowest to highest)", "worker p50", "transaction p50", "ratio", "worker p99", "transaction p99", "ratio"},
		notes: []string{"The verifier, which is asked every 2 ms from the moment of the publish on, is beside Firestore at every distance; what is away is the contender."}}
	for _, roundTrip := range b.options.RoundTrips {
		p50, p99 := map[string][]float64{}, map[string][]float64{}
		for run := range b.options.Runs {
			for i := range 2 {
				c := []contender{b.contenders()[1], b.contenders()[2]}[(i+run)%2]
				a, err := newAway(b.emulators, roundTrip)
				if err != nil {
					return "", err
				}
				times, err := b.answers(ctx, c, a, serviceStreams(c)...)
				_ = a.close()
				if err != nil {
					return "", fmt.Errorf("%s, %s: %w", c.name, far(roundTrip), err)
				}
				ms := func(p int) float64 { return float64(percentile(times, p)) / float64(time.Millisecond) }
				b.say("latency  run %d/%d  %-7s  %-11s  p50 %.1f ms, p99 %.1f ms", run+1, b.options.Runs, far(roundTrip), c.name, ms(50), ms(99))
				p50[c.name], p99[c.name] = append(p50[c.name], ms(50)), append(p99[c.name], ms(99))
			}
		}
		row := []string{far(roundTrip)}
		for _, p := range []map[string][]float64{p50, p99} {
			row = append(row, spread(p["worker"], "%.1f"), spread(p["transaction"], "%.1f"), ratio(median(p["worker"]), median(p["transaction"])))
		}
		t.rows = append(t.rows, row)
	}
	return t.String(), nil
}

// farSweep varies streams and outstanding messages under the rules.
func (b *bench) farSweep(ctx context.Context) (string, error) {
	t := table{title: "Streams and outstanding messages under the services' rules", header: []string{"fresh, events/s", "value"}, notes: []string{
		rulesNote, "One is varied at a time; the others have the defaults of the service, which are in bold.",
		"What waits for its answer is the rate times the round trips: far away from Firestore, more outstanding messages are faster, and take memory.",
		"Runs of a few seconds scatter by a third."}}
	for _, roundTrip := range b.options.RoundTrips {
		t.header = append(t.header, far(roundTrip))
	}
	fresh := allWorkloads("")[0]
	for _, s := range []struct {
		flag   string
		values []string
		usual  string
	}{
		{"--streams", []string{"1", "2", "4", "8", "16"}, "2"},
		{"--max-outstanding", []string{"1000", "3000", "10000", "30000"}, "3000"},
	} {
		rates := map[string][][]float64{} // by value, by distance
		for _, v := range s.values {
			rates[v] = make([][]float64, len(b.options.RoundTrips))
		}
		for run := range min(3, b.options.Runs) {
			for _, k := range rand.New(rand.NewPCG(uint64(run), 0)).Perm(len(s.values) * len(b.options.RoundTrips)) {
				value, d := s.values[k/len(b.options.RoundTrips)], k%len(b.options.RoundTrips)
				flags := []string{s.flag, value}
				if s.flag != "--streams" {
					flags = append(flags, serviceStreams(b.worker())...)
				}
				if err := b.refresh(ctx, b.options.Events); err != nil {
					return "", err
				}
				r, err := b.measureAway(ctx, setting{contender: b.worker(), workload: fresh, events: b.options.Events, flags: flags}, b.options.RoundTrips[d])
				if err != nil {
					return "", err
				}
				b.say("run %d  %s  %s: %.0f events/s%s", run+1, far(b.options.RoundTrips[d]), strings.Join(flags, " "), r.rate, partly(r))
				rates[value][d] = append(rates[value][d], r.rate)
			}
		}
		for _, v := range s.values {
			row := []string{"`" + s.flag + "`", v}
			if v == s.usual {
				row[1] = "**" + v + "**"
			}
			for _, r := range rates[v] {
				row = append(row, spread(r, "%.0f"))
			}
			t.rows = append(t.rows, row)
		}
	}
	return t.String(), nil
}
