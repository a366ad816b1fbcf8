package observe

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Label is a label of a metric with all the values that it can have. A label
// without values takes what is not known beforehand, such as a subscription.
type Label struct {
	Name   string
	Values []string
}

// Values makes a Label of typed values.
func Values[T ~string](name string, values ...T) Label {
	l := Label{Name: name, Values: []string{}}
	for _, v := range values {
		l.Values = append(l.Values, string(v))
	}
	return l
}

// Instruments makes the instruments of one package, and keeps the errors of
// making them for Err.
type Instruments struct {
	meter    metric.Meter
	declared func(Metric) // nil unless the provider is a Catalog
	errs     []error
}

// Instruments returns a maker of instruments in the scope, an import path.
func (p Providers) Instruments(scope string) *Instruments {
	p = p.OrNoop()
	i := &Instruments{meter: p.MeterProvider.Meter(scope)}
	if c, ok := p.MeterProvider.(*Catalog); ok {
		i.declared = c.add
	}
	return i
}

// Err returns the errors of all instruments made so far, joined.
func (i *Instruments) Err() error { return errors.Join(i.errs...) }

func (i *Instruments) made(err error, m Metric) {
	if err != nil {
		i.errs = append(i.errs, err)
	}
	if i.declared != nil {
		i.declared(m)
	}
}

// Counter makes a counter. If all labels have values, each combination of them
// starts at 0.
func (i *Instruments) Counter(name, unit, description string, labels ...Label) *Counter {
	return i.CounterOf(func([]string) bool { return true }, name, unit, description, labels...)
}

// CounterOf is Counter for labels of which only those combinations exist that
// exists reports.
func (i *Instruments) CounterOf(exists func(values []string) bool, name, unit, description string, labels ...Label) *Counter {
	counter, err := i.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.made(err, Metric{name, "counter", unit, description, labels})
	c := &Counter{counter: counter, names: namesOf(labels), series: map[key][]metric.AddOption{}}
	for _, values := range combinations(labels) {
		if exists(values) {
			c.series[keyOf(values)] = []metric.AddOption{attributes(c.names, values)}
			c.Add(context.Background(), 0, values...)
		}
	}
	return c
}

// Histogram makes a histogram with these upper bounds of its buckets.
func (i *Instruments) Histogram(name, unit, description string, bounds []float64, labels ...Label) *Histogram {
	h := &Histogram{histogram: i.BareHistogram(name, unit, description, bounds, labels...), names: namesOf(labels), series: map[key][]metric.RecordOption{}}
	for _, values := range combinations(labels) {
		h.series[keyOf(values)] = []metric.RecordOption{attributes(h.names, values)}
	}
	return h
}

// BareHistogram is Histogram without the attributes made: for labels that are not
// text, or more than three.
func (i *Instruments) BareHistogram(name, unit, description string, bounds []float64, labels ...Label) metric.Float64Histogram {
	h, err := i.meter.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(bounds...))
	i.made(err, Metric{name, "histogram", unit, description, labels})
	return h
}

// Gauge makes a gauge of whole numbers that Collect observes.
func (i *Instruments) Gauge(name, unit, description string, labels ...Label) metric.Int64ObservableGauge {
	g, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.made(err, Metric{name, "gauge", unit, description, labels})
	return g
}

// FloatGauge is Gauge for numbers that are not whole.
func (i *Instruments) FloatGauge(name, unit, description string, labels ...Label) metric.Float64ObservableGauge {
	g, err := i.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.made(err, Metric{name, "gauge", unit, description, labels})
	return g
}

// Total makes a counter whose sum Collect observes.
func (i *Instruments) Total(name, unit, description string, labels ...Label) metric.Int64ObservableCounter {
	c, err := i.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	i.made(err, Metric{name, "counter", unit, description, labels})
	return c
}

// Collect has collect called whenever metrics are read, to observe these
// instruments, until stop is called.
func (i *Instruments) Collect(collect func(context.Context, metric.Observer), instruments ...metric.Observable) (stop func()) {
	registration, err := i.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		collect(ctx, o)
		return nil
	}, instruments...)
	if err != nil {
		i.errs = append(i.errs, err)
		return func() {}
	}
	return func() { _ = registration.Unregister() } // fails only if it was unregistered before
}

// Counter is a counter of events. It is safe for concurrent use.
type Counter struct {
	counter metric.Int64Counter
	names   []string
	series  map[key][]metric.AddOption // made once: some are needed for every message
}

// Add counts n for the values of the labels, in their order. An empty value
// leaves its label out.
func (c *Counter) Add(ctx context.Context, n int64, values ...string) {
	if options, ok := c.series[keyOf(values)]; ok {
		c.counter.Add(ctx, n, options...)
		return
	}
	c.counter.Add(ctx, n, attributes(c.names, values))
}

// Histogram measures. It is safe for concurrent use.
type Histogram struct {
	histogram metric.Float64Histogram
	names     []string
	series    map[key][]metric.RecordOption
}

// Record adds a measurement for the values of the labels, in their order.
func (h *Histogram) Record(ctx context.Context, value float64, values ...string) {
	if options, ok := h.series[keyOf(values)]; ok {
		h.histogram.Record(ctx, value, options...)
		return
	}
	h.histogram.Record(ctx, value, attributes(h.names, values))
}

// key is the values of up to three labels.
type key [3]string

func keyOf(values []string) (k key) {
	copy(k[:], values)
	return k
}

func namesOf(labels []Label) (names []string) {
	if len(labels) > len(key{}) {
		panic("observe: more labels than a key has room for")
	}
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

func attributes(names, values []string) metric.MeasurementOption {
	var set []attribute.KeyValue
	for i, value := range values {
		if value != "" {
			set = append(set, attribute.String(names[i], value))
		}
	}
	return metric.WithAttributeSet(attribute.NewSet(set...))
}

// combinations returns those of all values; none if a label has no values. There
// is one, the empty one, of no labels.
func combinations(labels []Label) [][]string {
	all := [][]string{nil}
	for _, l := range labels {
		var longer [][]string
		for _, values := range all {
			for _, value := range l.Values {
				longer = append(longer, append(values[:len(values):len(values)], value))
			}
		}
		all = longer
	}
	return all
}
