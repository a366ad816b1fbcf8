package rewrite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"go.opentelemetry.io/otel/metric"
)

// Options of a worker. The zero Options are good.
type Options struct {
	Holder string        // names this worker in the ledger; default: host, process and a random part
	Lease  time.Duration // default 30 s; it is renewed after a third of it
	Poll   time.Duration // how often to look for jobs; default 2 s; costs one read
	Rate   governor.Rate // documents a second; default: Firestore's ramp
	Page   int           // documents of one query, at most, which a kill may have read in vain; default 10,000
	AtOnce int           // turns at the same time; default 16
	Drain  time.Duration // how long what is under way, and giving the job back, may go on when ctx ends; default 20 s
	// GiveWay reports whether something more urgent needs the store now: then one turn
	// is taken after the other. It is asked often, and must not block. Default: never.
	GiveWay func() bool

	Logger        *slog.Logger         // nil: silence
	MeterProvider metric.MeterProvider // nil: no metrics
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	var faults []error
	if o.Lease < 0 || o.Poll < 0 || o.Drain < 0 {
		faults = append(faults, errors.New("rewrite: Lease, Poll and Drain are not negative"))
	}
	if o.Page < 0 || o.AtOnce < 0 {
		faults = append(faults, errors.New("rewrite: Page and AtOnce are not negative"))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Holder == "" {
		host, _ := os.Hostname()
		o.Holder = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
	}
	if o.Lease == 0 {
		o.Lease = 30 * time.Second
	}
	if o.Poll == 0 {
		o.Poll = 2 * time.Second
	}
	if o.Page == 0 {
		o.Page = 10_000
	}
	if o.AtOnce == 0 {
		o.AtOnce = 16
	}
	if o.Drain == 0 {
		o.Drain = 20 * time.Second
	}
	if o.GiveWay == nil {
		o.GiveWay = func() bool { return false }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
