package observe

import (
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// Metric describes an instrument.
type Metric struct {
	Name        string // dotted, as OpenTelemetry has it
	Kind        string // counter, gauge or histogram
	Unit        string // UCUM
	Description string
	Labels      []Label
}

// Catalog is a provider of meters that measure nothing. It keeps what Instruments
// make, from which docs/metrics.md is made.
type Catalog struct {
	noop.MeterProvider

	mu      sync.Mutex
	metrics map[string]Metric
}

var _ metric.MeterProvider = (*Catalog)(nil)

func (c *Catalog) add(m Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metrics == nil {
		c.metrics = map[string]Metric{}
	}
	c.metrics[m.Name] = m
}

// Metrics returns the instruments that were made, by name.
func (c *Catalog) Metrics() (metrics []Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.metrics {
		metrics = append(metrics, m)
	}
	slices.SortFunc(metrics, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return metrics
}
