package quota

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// Policy says how much of an action a tenant may do in a window. With neither
// Tenant nor Action it is the default of all; the one that names both counts
// before the one that names the tenant, that before the one that names the
// action, that before the default. One whose Action is TotalAction bounds all
// actions of a tenant together, beside the policies of each. If no policy holds,
// the limit is 100 in 60 s (design §7).
type Policy struct {
	Tenant string        // empty: every tenant
	Action string        // empty: every action, each by itself
	Limit  int64         // units in a window, 1 to MaxLimit
	Window time.Duration // whole seconds, MinWindow to MaxWindow
	Shadow bool          // count and report what would be refused; refuse nothing
}

// Bounds of a policy.
const (
	MaxLimit  = limits.MaxLimit
	MinWindow = limits.MinWindow
	MaxWindow = limits.MaxWindow
)

// The names of actions.
const (
	// ActionPattern is what the action of a request must match. It has 1,024 bytes
	// at most.
	ActionPattern = limits.ActionPattern
	// TotalAction is the action of a policy that bounds all actions of a tenant
	// together. No caller can ask for it, since it does not match ActionPattern.
	TotalAction = limits.TotalAction
)

// limitsOf returns the policies as the model has them.
func limitsOf(policies []Policy) []limits.Policy {
	all := make([]limits.Policy, len(policies))
	for i, p := range policies {
		all[i] = limits.Policy(p)
	}
	return all
}

// A Store keeps windows. Packages fsquota and memquota open one.
type Store = limits.Store

// WindowID tells windows of one tenant and action apart.
type WindowID = limits.WindowID
