package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// compare measures every contender on every workload, interleaved.
func (b *bench) compare(ctx context.Context) (string, error) {
	workloads, contenders := b.options.workloads(), b.contenders()
	results := map[string]map[string][]result{} // by workload, by contender
	for _, w := range workloads {
		results[w.name] = map[string][]result{}
	}
	for run := range b.options.Runs {
		for _, w := range workloads {
			round := len(contenders) * setting{workload: w, events: b.options.Events}.size()
			if err := b.refresh(ctx, round); err != nil {
				return "", err
			}
			for i := range contenders {
				c := contenders[(i+run)%len(contenders)] // each is first in its turn
				if c.name == "probe" && w.noProbe {
					continue
				}
				r, err := b.measure(ctx, setting{contender: c, workload: w, events: b.options.Events})
				if err != nil {
					return "", err
				}
				b.say("run %d/%d  %-12s  %-11s  %6.0f events/s  %4d + %d µs CPU/event  %d MB%s",
					run+1, b.options.Runs, w.name, c.name, r.rate, r.cpu.Microseconds(), r.others.Microseconds(), r.peak>>20, partly(r))
				results[w.name][c.name] = append(results[w.name][c.name], r)
			}
		}
	}
	return compareTable(workloads, contenders, results) + "\n" + effortTable(workloads, contenders, results), nil
}

func partly(r result) string {
	if r.all {
		return ""
	}
	return fmt.Sprintf("  (%d in the time)", r.events)
}

func compareTable(workloads []workload, contenders []contender, results map[string]map[string][]result) string {
	t := table{title: "Throughput", header: []string{"events/s, median (lowest to highest)"}}
	for _, c := range contenders {
		t.header = append(t.header, c.name)
	}
	t.header = append(t.header, "worker / probe", "worker / transaction", "worker / watermill")
	var bounds []string
	for _, w := range workloads {
		row := []string{w.name}
		medians := map[string]float64{}
		for _, c := range contenders {
			rates := pick(results[w.name][c.name], func(r result) float64 { return r.rate })
			medians[c.name] = median(rates)
			row = append(row, spread(rates, "%.0f"))
		}
		for _, other := range []string{"probe", "transaction", "watermill"} {
			row = append(row, ratio(medians["worker"], medians[other]))
		}
		t.rows = append(t.rows, row)
		if !w.noProbe {
			bounds = append(bounds, fmt.Sprintf("`%s` %.1f and %.1f", w.name, medians["probe"]/medians["transaction"], medians["probe"]/medians["watermill"]))
		}
	}
	for _, w := range workloads {
		t.notes = append(t.notes, fmt.Sprintf("`%s`: %s.", w.name, w.what))
	}
	t.notes = append(t.notes, "The probe itself is so many times transaction and watermill: "+strings.Join(bounds, ", ")+". No worker can be far above that here.")
	return t.String()
}

func effortTable(workloads []workload, contenders []contender, results map[string]map[string][]result) string {
	t := table{title: "CPU and memory", header: []string{"CPU µs per event, own + emulators, medians · peak RSS MB, highest"}}
	for _, c := range contenders {
		t.header = append(t.header, c.name)
	}
	for _, w := range workloads {
		row := []string{w.name}
		for _, c := range contenders {
			all := results[w.name][c.name]
			if len(all) == 0 {
				row = append(row, "–")
				continue
			}
			cpu := median(pick(all, func(r result) float64 { return float64(r.cpu) / float64(time.Microsecond) }))
			others := median(pick(all, func(r result) float64 { return float64(r.others) / float64(time.Microsecond) }))
			peak := highest(pick(all, func(r result) float64 { return float64(r.peak) / (1 << 20) }))
			row = append(row, fmt.Sprintf("%.0f + %.0f · %.0f", cpu, others, peak))
		}
		t.rows = append(t.rows, row)
	}
	t.notes = []string{"The start and the end of the contender's process are included. What the two take together is what the throughput comes from where all share the same cores, and it hardly depends on what else the machine does."}
	return t.String()
}
