package limits

import (
	"errors"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The errors of a store, and of what is checked before it is asked.
var (
	// ErrInvalid: a tenant, an action, a policy or a number of units is not what it
	// must be. It is registry.ErrInvalid.
	ErrInvalid = registry.ErrInvalid
	// ErrUnavailable: the store did not answer, and nothing is known.
	ErrUnavailable = errors.New("throttle unavailable")
	// ErrTooNew: the window is stored in a way that this version does not
	// understand, and is left alone. Such an error also wraps ErrUnavailable, and
	// names the document. It is registry.ErrTooNew.
	ErrTooNew = registry.ErrTooNew
	// ErrConflict: the document has changed since it was read, and nothing was
	// written. Callers of a Limiter never see it without ErrUnavailable.
	ErrConflict = errors.New("window changed meanwhile")
)
