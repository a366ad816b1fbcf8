package verifier

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// Options of a Verifier. The zero value is ready for use.
type Options struct {
	// MaxStaleness makes the verifier keep positive answers in memory, and bounds
	// how old they may be: a check that begins more than MaxStaleness after the
	// commit of a move sees the move. Default 0: every check reads the store. Any
	// other value is at least 100 ms, and needs a store with a change feed; those
	// of fsregistry and memregistry have one. It costs two reads of the store every
	// MaxStaleness/2 while there are checks or watches.
	MaxStaleness time.Duration

	// MaxAge bounds the age of answers against changes that the change feed does
	// not report: those of programs that write documents with plain sets. An answer
	// is used for MaxAge after its read was sent, and a Watch lasts at most a
	// second longer. A resource that is asked for in the last tenth of that time is
	// read again in the background. Default: 30 s, and 24 h once the registry says
	// that there are no such programs (`registry-worker upgrade --plain-sets over`;
	// read with each certificate). A day is enough to find one that was overlooked.
	// Unbounded ignores what the registry says.
	MaxAge time.Duration

	// CacheEntries and CacheBytes bound the cache, approximately. Defaults
	// 1,000,000 and 256 MiB; a million typical entries take about 140 MB.
	CacheEntries int
	CacheBytes   int64

	// MissGrace delays every refusal, and reads again meanwhile. It is for create
	// flows that publish an event and do not claim. Default 0: a refusal is
	// returned at once.
	MissGrace time.Duration

	// Timeout bounds one read of the store, and how long a check waits for one,
	// whatever its own deadline is. Default 5 s.
	Timeout time.Duration

	// MaxReads is the number of concurrent reads. Checks that arrive while all are
	// busy share the next one, up to a hundred resources a read. Default 16.
	MaxReads int

	// MaxWaiting is the number of checks that may wait for a read, or be in one, at
	// once. Those above it get ErrUnavailable immediately, so that an overloaded
	// store does not hold up every caller. Default 10,000. A tenth of it is
	// reserved for open streams that are verified again, which wait for their turn.
	MaxWaiting int

	// Where telemetry goes. Default: nowhere.
	Logger         *slog.Logger
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// The defaults of MaxAge: while plain sets may go on, and once the registry says
// that they are over.
const (
	usualMaxAge    = 30 * time.Second
	maxAgeWhenOver = 24 * time.Hour
)

// Unbounded is the MaxAge for registries whose documents no other program writes.
const Unbounded time.Duration = -1

// leastStaleness is the smallest MaxStaleness. With a smaller one, certifying would
// read more often than answering.
const leastStaleness = 100 * time.Millisecond

// Validate returns every fault of the options, joined; nil if there is none.
func (o Options) Validate() error {
	var faults []error
	if o.MissGrace < 0 {
		faults = append(faults, fmt.Errorf("option MissGrace is %v: must not be negative", o.MissGrace))
	}
	if o.Timeout < 0 {
		faults = append(faults, fmt.Errorf("option Timeout is %v: must not be negative", o.Timeout))
	}
	if o.MaxReads < 0 {
		faults = append(faults, fmt.Errorf("option MaxReads is %d: must not be negative", o.MaxReads))
	}
	if o.MaxWaiting < 0 {
		faults = append(faults, fmt.Errorf("option MaxWaiting is %d: must not be negative", o.MaxWaiting))
	}
	if o.MaxStaleness != 0 && o.MaxStaleness < leastStaleness {
		faults = append(faults, fmt.Errorf("option MaxStaleness is %v: must be 0 or at least %v", o.MaxStaleness, leastStaleness))
	}
	if o.MaxAge < 0 && o.MaxAge != Unbounded {
		faults = append(faults, fmt.Errorf("option MaxAge is %v: must not be negative, except Unbounded", o.MaxAge))
	}
	if o.CacheEntries < 0 || o.CacheBytes < 0 {
		faults = append(faults, fmt.Errorf("options CacheEntries and CacheBytes are %d and %d: must not be negative", o.CacheEntries, o.CacheBytes))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxReads == 0 {
		o.MaxReads = 16
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 10_000
	}
	if o.CacheEntries == 0 {
		o.CacheEntries = 1_000_000
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 256 << 20
	}
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider}.OrNoop()
	o.Logger, o.MeterProvider, o.TracerProvider = p.Logger, p.MeterProvider, p.TracerProvider
	return o
}
