package wire

import (
	"context"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// A Meter counts what goes over the connections that it is given to. It is safe for
// concurrent use.
type Meter struct {
	mu     sync.Mutex
	counts Counts
}

// Counts is what a meter counted. Reads, Writes and Deletes are billed
// documents by collection: the path of the collection below the database's
// root, such as "realtime_registry". Calls is by method, such as "BatchWrite".
type Counts struct {
	Reads, Writes, Deletes, Calls map[string]int64
}

// NewMeter returns a meter at zero.
func NewMeter() *Meter { return &Meter{counts: newCounts()} }

func newCounts() Counts {
	return Counts{Reads: map[string]int64{}, Writes: map[string]int64{}, Deletes: map[string]int64{}, Calls: map[string]int64{}}
}

// DialOptions attach the meter to a connection.
func (m *Meter) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(handler{m})}
}

// Reads returns the billed reads in one collection; in all of them if collection is
// empty.
func (m *Meter) Reads(collection string) int64 { return m.get(Counts.reads, collection) }

// Writes returns the billed writes in one collection; in all of them if collection
// is empty.
func (m *Meter) Writes(collection string) int64 { return m.get(Counts.writes, collection) }

// Deletes returns the billed deletes in one collection; in all of them if
// collection is empty.
func (m *Meter) Deletes(collection string) int64 { return m.get(Counts.deletes, collection) }

// Calls returns how often a method was called; the sum of all if method is empty. A
// stream is one call.
func (m *Meter) Calls(method string) int64 { return m.get(Counts.calls, method) }

func (m *Meter) get(which func(Counts) map[string]int64, key string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sum(which(m.counts), key)
}

// Counts returns what was counted so far. Empty maps are nil.
func (m *Meter) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts.Since(Counts{})
}

// Reset sets all counts to zero.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts = newCounts()
}

func (c Counts) reads() map[string]int64   { return c.Reads }
func (c Counts) writes() map[string]int64  { return c.Writes }
func (c Counts) deletes() map[string]int64 { return c.Deletes }
func (c Counts) calls() map[string]int64   { return c.Calls }

func sum(counts map[string]int64, key string) int64 {
	if key != "" {
		return counts[key]
	}
	var all int64
	for _, n := range counts {
		all += n
	}
	return all
}

// Since returns what was counted after the earlier counts were taken, with no Reset
// between. Keys with zero are left out, and empty maps are nil.
func (c Counts) Since(earlier Counts) Counts {
	return Counts{
		Reads:   since(c.Reads, earlier.Reads),
		Writes:  since(c.Writes, earlier.Writes),
		Deletes: since(c.Deletes, earlier.Deletes),
		Calls:   since(c.Calls, earlier.Calls),
	}
}

func since(now, earlier map[string]int64) map[string]int64 {
	var diff map[string]int64
	for key, n := range now {
		if n == earlier[key] {
			continue
		}
		if diff == nil {
			diff = map[string]int64{}
		}
		diff[key] = n - earlier[key]
	}
	return diff
}

// handler is the meter's side towards gRPC's transport.
type handler struct{ m *Meter }

type callKey struct{}

func (h handler) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	method := info.FullMethodName[strings.LastIndexByte(info.FullMethodName, '/')+1:]
	return context.WithValue(ctx, callKey{}, &call{method: method})
}

func (h handler) HandleRPC(ctx context.Context, s stats.RPCStats) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		h.m.counts.Calls[c.method]++
	case *stats.OutPayload:
		c.sent(&h.m.counts, s.Payload)
	case *stats.InPayload:
		c.received(&h.m.counts, s.Payload)
	case *stats.End:
		c.ended(&h.m.counts, s.Error)
	}
}

func (handler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (handler) HandleConn(context.Context, stats.ConnStats) {}
