package limits

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Policy says how much of an action a tenant may do in a window. With neither
// Tenant nor Action it is the default of all; the one that names both counts
// before the one that names the tenant, that before the one that names the
// action, that before the default. One whose Action is TotalAction bounds all
// actions of a tenant together, beside the policies of each.
type Policy struct {
	Tenant string        // empty: every tenant
	Action string        // empty: every action, each by itself
	Limit  int64         // units in a window, 1 to MaxLimit
	Window time.Duration // whole seconds, MinWindow to MaxWindow; default 60 s
	Shadow bool          // count and report what would be refused; refuse nothing
}

// Bounds of a policy.
const (
	MaxLimit  = 1_000_000_000
	MinWindow = time.Second
	MaxWindow = 30 * 24 * time.Hour
)

// DefaultPolicy returns the policy that holds if no other does: 100 in 60 s
// (design §7).
func DefaultPolicy() Policy { return Policy{Limit: 100, Window: DefaultWindow} }

// DefaultWindow is the window of a policy that does not name one.
const DefaultWindow = 60 * time.Second

// Validate returns every fault of the policy, joined.
func (p Policy) Validate() error { return errors.Join(p.faults()...) }

func (p Policy) faults() (faults []error) {
	if err := registry.ValidateTenant(p.Tenant); p.Tenant != "" && err != nil {
		faults = append(faults, err)
	}
	if err := validateAction(p.Action); p.Action != "" && err != nil {
		faults = append(faults, err)
	}
	if p.Limit < 1 || p.Limit > MaxLimit {
		faults = append(faults, fmt.Errorf("%w: limit is %d: must be 1 to %d", ErrInvalid, p.Limit, int64(MaxLimit)))
	}
	if p.Window < MinWindow || p.Window > MaxWindow || p.Window%time.Second != 0 {
		faults = append(faults, fmt.Errorf("%w: window is %v: must be whole seconds, %v to %v", ErrInvalid, p.Window, MinWindow, MaxWindow))
	}
	return faults
}

// validateAt is Validate with the place before every fault.
func (p Policy) validateAt(place string) error {
	faults := p.faults()
	for i, err := range faults {
		faults[i] = fmt.Errorf("%s: %w", place, err)
	}
	return errors.Join(faults...)
}

// window returns a new window that begins at last reset.
func (p Policy) NewWindow(lastReset float64, generation int64) Window {
	return Window{LastReset: lastReset, Length: p.Window, Limit: p.Limit, Generation: generation}
}

// Scope says what the policy is for: "t_acme chat_send", "t_acme *",
// "* chat_send" or "default".
func (p Policy) Scope() string {
	if p.Tenant == "" && p.Action == "" {
		return "default"
	}
	return Key{starred(p.Tenant), starred(p.Action)}.String()
}

func starred(name string) string {
	if name == "" {
		return "*"
	}
	return name
}

// Policies is what a file, or all documents together, say.
type Policies struct {
	List []Policy
	// ActionsClosed: an action that no policy names, in whatever layer, is refused
	// with ErrInvalid.
	ActionsClosed bool
}

func (p Policies) Equal(other Policies) bool {
	return p.ActionsClosed == other.ActionsClosed && slices.Equal(p.List, other.List)
}

// PolicySet is the policies in force. It is immutable; the zero set holds
// DefaultPolicy alone.
type PolicySet struct {
	byScope map[Key]Policy
	actions map[string]bool // that policies name
	closed  bool            // all others are refused
	totals  bool            // some tenant has a total
}

// NewPolicySet returns the set of all layers; if two have a policy for the
// same tenant and action, the later layer's holds. Each layer can close the list
// of actions.
func NewPolicySet(layers ...Policies) PolicySet {
	s := PolicySet{byScope: map[Key]Policy{}, actions: map[string]bool{}}
	for _, layer := range layers {
		s.closed = s.closed || layer.ActionsClosed
		for _, p := range layer.List {
			s.byScope[Key{p.Tenant, p.Action}] = p
			s.totals = s.totals || p.Action == TotalAction
			if p.Action != "" {
				s.actions[p.Action] = true
			}
		}
	}
	return s
}

// Total returns the policy that bounds all actions of a tenant together, if there
// is one.
func (s PolicySet) Total(tenant string) (p Policy, ok bool) {
	if !s.totals {
		return Policy{}, false
	}
	if p, ok = s.byScope[Key{tenant, TotalAction}]; !ok {
		p, ok = s.byScope[Key{"", TotalAction}]
	}
	return p, ok
}

// unbounded holds for a window of TotalAction whose policy has just gone.
var unbounded = Policy{Action: TotalAction, Limit: MaxLimit, Window: DefaultWindow}

// Of returns the policy that holds for a key.
func (s PolicySet) Of(key Key) Policy {
	if key.Action == TotalAction {
		if p, ok := s.Total(key.Tenant); ok {
			return p
		}
		return unbounded
	}
	for _, scope := range [...]Key{key, {Tenant: key.Tenant}, {Action: key.Action}, {}} {
		if p, ok := s.byScope[scope]; ok {
			return p
		}
	}
	return DefaultPolicy()
}

// Actions returns the actions that policies name, sorted.
func (s PolicySet) Actions() []string {
	return slices.Sorted(maps.Keys(s.actions))
}

// Refuses reports whether requests for the action are refused: the list of actions
// is closed, and no policy names it.
func (s PolicySet) Refuses(action string) bool { return s.closed && !s.actions[action] }

// validate is of a request for n units.
func (s PolicySet) Validate(key Key, n int) error {
	if err := registry.ValidateTenant(key.Tenant); err != nil {
		return err
	}
	if err := validateCallersAction(key.Action); err != nil {
		return err
	}
	if s.Refuses(key.Action) {
		return fmt.Errorf("%w: action %.80q is not one that a policy names, and the list of actions is closed", ErrInvalid, key.Action)
	}
	most := s.Of(key).most()
	if total, ok := s.Total(key.Tenant); ok {
		most = min(most, total.most())
	}
	if n < 1 || int64(n) > most {
		return fmt.Errorf("%w: %d units of %s: must be 1 to %d", ErrInvalid, n, key.Action, most)
	}
	return nil
}

// most is how many units one request may ask for.
func (p Policy) most() int64 {
	if p.Shadow {
		return MaxLimit
	}
	return p.Limit
}

// validateAll checks a list, each policy and that no two have the same scope.
// place names the i-th policy in the errors.
func ValidateAll(policies []Policy, place func(i int) string) error {
	var faults []error
	seen := map[Key]int{}
	for i, p := range policies {
		if err := p.validateAt(place(i)); err != nil {
			faults = append(faults, err)
		}
		scope := Key{p.Tenant, p.Action}
		if first, ok := seen[scope]; ok {
			faults = append(faults, fmt.Errorf("%s: %w: a second policy for %s; the first is at %s", place(i), ErrInvalid, p.Scope(), place(first)))
			continue
		}
		seen[scope] = i
	}
	return errors.Join(faults...)
}
