package console

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// A Sample is what the page shows of one moment.
type Sample struct {
	At        time.Time            `json:"at"`
	Processes []Process            `json:"processes"` // this one first
	Counts    map[string][]Count   `json:"counts"`    // of all processes together
	Durations map[string]Quantiles `json:"durations"` // those of the last samples
	Throttled []ThrottledTenant    `json:"throttled"`
	Rewriting Rewriting            `json:"rewriting"`
}

// A Process is the state of one process.
type Process struct {
	Name    string             `json:"name"`
	Self    bool               `json:"self,omitempty"`
	Error   string             `json:"error,omitempty"` // why its metrics are not here
	Version string             `json:"version,omitempty"`
	Worker  bool               `json:"worker"`
	API     bool               `json:"api"`
	Ready   bool               `json:"ready"`
	Why     string             `json:"why,omitempty"` // it is not ready
	Events  *float64           `json:"events"`        // settled a second; null: not known
	Checks  *float64           `json:"checks"`        // a second
	Gauges  map[string]float64 `json:"gauges"`
}

// Count is a counter with a label's value.
type Count struct {
	Name  string   `json:"name"`
	Total float64  `json:"total"` // since the processes have started
	Rate  *float64 `json:"rate"`  // a second; null: not known yet
}

// Quantiles are of the last samples. Above: the value is more than the number,
// which is the histogram's last bound.
type Quantiles struct {
	Count float64 `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Above bool    `json:"p99_above,omitempty"`
}

// Rewriting is what is being rewritten after moves of whole tenants.
type Rewriting struct {
	Moves any       `json:"moves"` // as `moves list --json`
	At    time.Time `json:"at"`    // when it was read; zero: not yet
	Error string    `json:"error,omitempty"`
}

// course is the last digests of one process, the oldest first. All are of one start
// of the process.
type course []digest

func (c course) with(d digest) course {
	if len(c) > 0 && c[len(c)-1].instance != d.instance {
		c = nil
	}
	return append(c[max(0, len(c)-WindowSamples):], d)
}

// counts adds up the counters of several processes.
func counts(courses []course) map[string][]Count {
	all := map[string][]Count{}
	for _, c := range counters {
		totals, rates, present := map[string]float64{}, map[string]float64{}, false
		known := map[string]bool{} // values that have a rate
		for _, course := range courses {
			now, ok := course[len(course)-1].counts[c.name]
			present = present || ok
			for value, n := range now {
				totals[value] += n
				if rate, ok := course.rate(c.name, value); ok {
					rates[value] += rate
					known[value] = true
				}
			}
		}
		if !present {
			continue
		}
		all[c.name] = []Count{}
		for _, value := range slices.Sorted(maps.Keys(totals)) {
			count := Count{Name: value, Total: totals[value]}
			if known[value] {
				rate := rates[value]
				count.Rate = &rate
			}
			all[c.name] = append(all[c.name], count)
		}
		slices.SortStableFunc(all[c.name], func(a, b Count) int { return cmp.Compare(b.Total, a.Total) })
	}
	return all
}

// rate returns the rate between the last two digests.
func (c course) rate(counter, value string) (float64, bool) {
	if len(c) < 2 {
		return 0, false
	}
	now, before := c[len(c)-1], c[len(c)-2]
	more := now.counts[counter][value] - before.counts[counter][value]
	seconds := now.at.Sub(before.at).Seconds()
	if seconds <= 0 || more < 0 {
		return 0, false
	}
	return more / seconds, true
}

// rates adds up the rates of counters, by all their labels; nil: none is known.
func (c course) rates(counters ...string) *float64 {
	var sum float64
	known := false
	for _, counter := range counters {
		for value := range c[len(c)-1].counts[counter] {
			if rate, ok := c.rate(counter, value); ok {
				sum += rate
				known = true
			}
		}
	}
	if !known {
		return nil
	}
	return &sum
}

// quantiles returns those of several processes, over their courses; none if nothing
// was measured.
func quantiles(courses []course) map[string]Quantiles {
	all := map[string]Quantiles{}
	for name := range durations {
		sum := histogram{}
		for _, c := range courses {
			if len(c) < 2 {
				continue
			}
			before := c[0].histograms[name]
			for bound, n := range c[len(c)-1].histograms[name] {
				sum[bound] += n - before[bound]
			}
		}
		if n := sum[math.Inf(1)]; n > 0 {
			q := Quantiles{Count: n}
			q.P50, _ = sum.quantile(.5)
			q.P99, q.Above = sum.quantile(.99)
			all[name] = q
		}
	}
	return all
}

// quantile interpolates as Prometheus does (histogram_quantile). Above +Inf there is
// nothing to interpolate with: it returns the last bound, and that it is more.
func (h histogram) quantile(q float64) (value float64, above bool) {
	bounds := slices.Sorted(maps.Keys(h))
	rank := q * h[math.Inf(1)]
	lower, below := 0.0, 0.0
	for _, bound := range bounds {
		if math.IsInf(bound, 1) {
			return lower, true
		}
		if n := h[bound]; n >= rank {
			if n == below {
				return bound, false
			}
			return lower + (bound-lower)*(rank-below)/(n-below), false
		}
		lower, below = bound, h[bound]
	}
	return lower, true
}
