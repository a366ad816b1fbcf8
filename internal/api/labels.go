package api

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// labels makes the attributes of requests once for each kind of answer, of which
// there are few: methods, routes and statuses are all bounded.
type labels struct {
	mu   sync.Mutex // for adding one
	made atomic.Pointer[map[labelKey]*labelSet]
}

type labelKey struct {
	method, pattern string
	status          int
}

// labelSet has the attributes with which one kind of answer is measured and traced.
type labelSet struct {
	attributes []attribute.KeyValue
	record     []metric.RecordOption
}

func (l *labels) of(method, pattern string, status int) *labelSet {
	key := labelKey{method, pattern, status}
	if made := l.made.Load(); made != nil {
		if set := (*made)[key]; set != nil {
			return set
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	more := map[labelKey]*labelSet{}
	if made := l.made.Load(); made != nil {
		maps.Copy(more, *made)
	}
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", method),
		attribute.String("http.route", pattern),
		attribute.Int("http.response.status_code", status),
	}
	more[key] = &labelSet{attributes, []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attributes...))}}
	l.made.Store(&more)
	return more[key]
}
