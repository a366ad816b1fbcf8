package quota

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// OnError says what a request gets while the store is down.
type OnError string

// What a request gets while the store is down.
const (
	Deny  OnError = "deny"  // ErrUnavailable
	Allow OnError = "allow" // let through, not counted: the limit does not hold meanwhile
)

// Options of a Limiter. The zero value is ready for use.
type Options struct {
	// Policies hold from the start. Those of PolicyFile come before them, those
	// of the store's policy documents before both, for the same tenant and
	// action.
	Policies []Policy

	// ActionsClosed: actions that no policy names are refused with ErrInvalid. A
	// policy file and a policy document can say so too. Default: any action that
	// matches ActionPattern.
	ActionsClosed bool

	// PolicyFile is a YAML file of policies (see ParsePolicies), read again every
	// two seconds. Default: none. New fails if it is bad; later a bad one is
	// logged and counted, and the last good one stays in force.
	PolicyFile string

	// OnError is Deny or Allow. Default Deny.
	OnError OnError

	// Timeout bounds one call of the store. A reservation whose answer does not
	// come in time counts as not obtained, and is tried three times before the
	// requests that wait for it get ErrUnavailable. Default 1 s. The first write of a
	// window gets 250 ms, or eight times as long as the read before it took: if that
	// is not enough, many processes begin the window, and it is read again.
	Timeout time.Duration

	// Seed is of the draws by which processes take turns; each needs its own.
	// Default: one at random. A simulation that is to be repeated gives it.
	Seed uint64

	// Where telemetry goes. Default: nowhere.
	Logger         *slog.Logger
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// Validate returns every fault of the options, joined; nil if there is none.
// It does not read PolicyFile.
func (o Options) Validate() error {
	var faults []error
	if err := limits.ValidateAll(limitsOf(o.Policies), func(i int) string { return fmt.Sprintf("Policies[%d]", i) }); err != nil {
		faults = append(faults, err)
	}
	switch o.OnError {
	case "", Deny, Allow:
	default:
		faults = append(faults, fmt.Errorf("option OnError is %q: must be deny or allow", o.OnError))
	}
	if o.Timeout < 0 {
		faults = append(faults, fmt.Errorf("option Timeout is %v: must not be negative", o.Timeout))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.OnError == "" {
		o.OnError = Deny
	}
	for o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider}.OrNoop()
	o.Logger, o.MeterProvider, o.TracerProvider = p.Logger, p.MeterProvider, p.TracerProvider
	return o
}
