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
	// MaxStaleness/2 while anybody asks.
	MaxStaleness time.Duration

	// MaxAge bounds what the change feed does not tell of: programs that write
	// documents with plain sets. A kept answer is used for so long after its
	// read was sent, and a Watch lasts no more than a second longer. What is asked
	// for at nine tenths of that is read again in the background. Default: 30 s, and
	// 24 h once the registry says that such programs are gone (`registry-worker
	// upgrade --plain-sets over`), which is read with each certificate: enough to find
	// one that is not. Unbounded if there are none, whatever the registry says.
	MaxAge time.Duration

	// CacheEntries and CacheBytes bound, about, what is kept in memory. Defaults
	// 1,000,000 and 256 MiB; a million usual entries take about 140 MB.
	CacheEntries int
	CacheBytes   int64

	// MissGrace holds every refusal back for so long and reads again meanwhile:
	// for create flows that publish an event and do not claim. Default 0: a
	// refusal is said at once.
	MissGrace time.Duration

	// Timeout bounds one read of the store, and what a check waits for one,
	// whatever its own deadline is. Default 5 s.
	Timeout time.Duration

	// MaxReads is the number of reads under way at once. Checks that come while
	// all are busy share the next one, up to a hundred resources a read.
	// Default 16.
	MaxReads int

	// MaxWaiting is the number of checks that wait for a read, or are in one,
	// at once. Those above it are ErrUnavailable immediately: an overloaded
	// store should not be waited for by everybody. Default 10,000. A tenth of
	// it is for open streams that are verified again, which wait for their turn.
	MaxWaiting int

	// Where telemetry goes. Default: nowhere.
	Logger         *slog.Logger
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// MaxAge by default: while plain sets go on, as far as is known, and while the
// registry says that they are over.
const (
	usualMaxAge    = 30 * time.Second
	maxAgeWhenOver = 24 * time.Hour
)

// Unbounded is the MaxAge of registries that nobody writes past.
const Unbounded time.Duration = -1

// leastStaleness: below it, answers would be read more often to certify them
// than to give them.
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
