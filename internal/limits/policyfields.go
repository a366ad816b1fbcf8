package limits

import (
	"errors"
	"fmt"
	"time"
)

// field is one field of a policy as a file or a document has it.
type field struct {
	place string // where people find it: "policies.yaml:7", "rate_limit_policies/acme"
	name  string
	value any
}

// policyOf makes a policy of its fields. The errors say the place and the name
// of every field at fault; bounds are checked elsewhere.
func policyOf(fields []field) (Policy, error) {
	p := Policy{Window: DefaultWindow}
	var faults []error
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.name] {
			faults = append(faults, f.fault("given twice"))
		}
		seen[f.name] = true
		if err := f.into(&p); err != nil {
			faults = append(faults, err)
		}
	}
	return p, errors.Join(faults...)
}

func (f field) into(p *Policy) (err error) {
	switch f.name {
	case "tenant":
		p.Tenant, err = valueOf[string](f, "a tenant id")
	case "action":
		p.Action, err = valueOf[string](f, "an action")
	case "limit":
		p.Limit, err = f.integer()
	case "window":
		p.Window, err = f.duration()
	case "shadow":
		p.Shadow, err = valueOf[bool](f, "true or false")
	case actionsField:
		return f.fault("closes the list of actions: in a file it stands beside policies, and it is the one field of a document")
	default:
		return f.fault("not a field of a policy: those are tenant, action, limit, window, shadow")
	}
	return err
}

// actionsField stands beside policies in a file, and alone in a document.
const actionsField = "actions"

// closes checks that the field closes the list of actions.
func (f field) closes() error {
	if f.value != any("closed") {
		return f.must("closed; without it, any action may be asked for")
	}
	return nil
}

func (f field) fault(text string) error {
	return fmt.Errorf("%s: %w: %s: %s", f.place, ErrInvalid, f.name, text)
}

// must says what the value is, and what it must be. A string says that it is
// one: "3" looks like a number.
func (f field) must(want string) error {
	if text, ok := f.value.(string); ok {
		return f.fault(fmt.Sprintf("is the string %q: must be %s", text, want))
	}
	if f.value == nil {
		return f.fault("is null: must be " + want)
	}
	return f.fault(fmt.Sprintf("is %v: must be %s", f.value, want))
}

// valueOf refuses an empty string too: a tenant that was left empty by mistake must
// not become all tenants.
func valueOf[T comparable](f field, want string) (T, error) {
	v, ok := f.value.(T)
	if !ok || any(v) == "" {
		return v, f.must(want)
	}
	return v, nil
}

func (f field) integer() (int64, error) {
	switch v := f.value.(type) {
	case int:
		return int64(v), nil
	case int64:
		return v, nil
	case float64: // consoles and JavaScript write whole numbers so
		if v == float64(int64(v)) {
			return int64(v), nil
		}
	}
	return 0, f.must("a whole number")
}

func (f field) duration() (time.Duration, error) {
	text, _ := f.value.(string)
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, f.must("a duration with its unit, such as 60s")
	}
	return d, nil
}
