package quota

import (
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/registry"
)

// What Allow may get, each by errors.Is.
var (
	// ErrInvalid: the tenant or the action breaks its pattern, or n is not 1 to
	// the policy's limit (MaxLimit for a shadow). The store was not asked. The
	// caller's fault. It is registry.ErrInvalid, so that one check serves for both
	// packages.
	ErrInvalid = registry.ErrInvalid
	// ErrUnavailable: a reservation was needed, and the store did not grant or refuse
	// it in time; or the limiter is closed. Nothing is known: it is neither an
	// allow nor a refusal.
	ErrUnavailable = limits.ErrUnavailable
	// ErrTooNew: the window is stored in a way that this version does not
	// understand, and is left alone. Such an error also wraps ErrUnavailable, and
	// names the document. It is registry.ErrTooNew.
	ErrTooNew = registry.ErrTooNew
)
