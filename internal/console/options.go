package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A Look answers an operator's questions by reading. The page shows the results as
// JSON, which is that of the named command.
type Look interface {
	// Inspect is `inspect --json`.
	Inspect(ctx context.Context, resource registry.Resource) (any, error)
	// Moves are those that changed last, the latest first, as `moves list --json`
	// has them; of one tenant, or of "" all.
	Moves(ctx context.Context, tenant string) (any, error)
	// Move is the one of a name, in a list as that of Moves, which may be empty.
	Move(ctx context.Context, name ownership.EventName) (any, error)
	// Pending are the moves whose rewriting has not ended, those first that are parked.
	Pending(ctx context.Context) (any, error)
	// Windows are those of a tenant, as `quota show --json` has them.
	Windows(ctx context.Context, tenant string) (any, error)
	// DeadLetters are those that wait. ErrNoDeadLetters: they cannot be looked at
	// from here.
	DeadLetters(ctx context.Context) (any, error)
}

// ErrNoDeadLetters says that this process has no dead letters to look at.
var ErrNoDeadLetters = errors.New("there is no Pub/Sub here, and dead letters are only kept there")

// Options of a Console.
type Options struct {
	// Name is what this process is: serve, run or dev. Target is where it keeps the
	// registry, as people are told. Version is that of the program.
	Name, Target, Version string

	// Look answers questions. Required.
	Look Look

	// Gatherer has this process's metrics. Required.
	Gatherer prometheus.Gatherer

	// Worker returns why this process applies no events, nil if it does. A nil
	// Worker: there is none here.
	Worker func(context.Context) error

	// Throttled are the tenants that this process has refused; nil: it refuses none.
	Throttled *Throttled

	// MaxStaleness is the verifier's; 0: it keeps nothing in memory.
	MaxStaleness time.Duration

	// Peers are base URLs of other processes, such as http://127.0.0.1:8081. A name
	// with several addresses stands for a process at each.
	Peers []string

	// Every is the time between two samples. Default 2 s.
	Every time.Duration

	Client *http.Client // asks the peers; nil: one of its own
	Logger *slog.Logger // nil: silence
}

const (
	// WindowSamples is the number of samples over which quantiles are taken.
	WindowSamples = 15
	// PendingEvery is how often the moves in progress are read while there are
	// viewers.
	PendingEvery = 10 * time.Second
	// MaxOpen is how many pages may be open at once.
	MaxOpen = 16
	// lettersEvery is the least time between two looks at dead letters.
	lettersEvery = 10 * time.Second
)

// Validate returns every fault of the options, joined; nil if there is none.
func (o Options) Validate() error {
	var faults []error
	if o.Look == nil {
		faults = append(faults, errors.New("option Look is missing"))
	}
	if o.Gatherer == nil {
		faults = append(faults, errors.New("option Gatherer is missing"))
	}
	if o.Every < 0 {
		faults = append(faults, errors.New("option Every must not be negative"))
	}
	for _, peer := range o.Peers {
		faults = append(faults, CheckPeer(peer))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Client == nil {
		o.Client = newClient()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
