package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// ErrUnknownType is returned by Validate for a type without a schema.
var ErrUnknownType = errors.New("unknown type")

// Fault is one thing that is wrong with an event's data.
type Fault struct {
	Place   string // JSON pointer into the data; "" is the data as a whole
	Problem string // what is wrong there; values are quoted and shortened
}

// Faults is the error of data that does not fit its schema, in the order of
// their places. There is at least one.
type Faults []Fault

// Error names the first few faults, each with its place as a path from "data".
func (f Faults) Error() string {
	const most = 3
	var b strings.Builder
	for i, fault := range f {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(f)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "data%s: %s", fault.Place, fault.Problem)
	}
	return b.String()
}

// Validate checks data against the schema of its type. Data is JSON as
// encoding/json decodes it into an any, with numbers as float64. The error is
// Faults, or ErrUnknownType.
func Validate(dataType string, data any) error {
	schema, ok := compiled()[dataType]
	if !ok {
		return ErrUnknownType
	}
	var faults Faults
	if err := schema.Validate(data); err != nil {
		var invalid *jsonschema.ValidationError
		if !errors.As(err, &invalid) {
			return Faults{{Problem: err.Error()}}
		}
		faults = leaves(invalid, data, nil)
	} else {
		faults = relations(dataType, data)
	}
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Place, b.Place) })
	return faults
}

// leaves flattens the tree of a validation error: an error that contains others
// adds nothing to them.
func leaves(e *jsonschema.ValidationError, data any, faults Faults) Faults {
	for _, cause := range e.Causes {
		faults = leaves(cause, data, faults)
	}
	if len(e.Causes) > 0 {
		return faults
	}
	place := pointer(e.InstanceLocation)
	if required, ok := e.ErrorKind.(*kind.Required); ok {
		for _, name := range required.Missing {
			faults = append(faults, Fault{place + "/" + name, "missing"})
		}
		return faults
	}
	if more, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		for _, name := range more.Properties {
			faults = append(faults, Fault{place + pointer([]string{printable(name)}), notAField(name)})
		}
		return faults
	}
	return append(faults, Fault{place, problem(e.ErrorKind, at(data, e.InstanceLocation))})
}

// problem says what is wrong with the value, in the library's own words unless
// these could repeat a value of any length.
func problem(k jsonschema.ErrorKind, value any) string {
	switch k := k.(type) {
	case *kind.Pattern:
		if k.Want == printablePattern {
			return fmt.Sprintf("%s holds what is not printable", quote(value))
		}
		return fmt.Sprintf("%s does not match %s", quote(value), k.Want)
	case *kind.Enum:
		return fmt.Sprintf("%s is not one of %v", quote(value), k.Want)
	case *kind.Type:
		return fmt.Sprintf("is %s, not %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.MinItems:
		return fmt.Sprintf("has %d items, fewer than %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("has %d items, more than %d", k.Got, k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d are the same", k.Duplicates[0], k.Duplicates[1])
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}

// quote shortens what a publisher sent, so that an error stays readable.
func quote(value any) string {
	const most = 40
	s, ok := value.(string)
	switch {
	case !ok:
		return fmt.Sprintf("a value of type %T", value)
	case len(s) > most:
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return strconv.Quote(s)
}

// at returns the value at a location reported by the validator.
func at(value any, location []string) any {
	for _, token := range location {
		switch container := value.(type) {
		case map[string]any:
			value = container[token]
		case []any:
			if i, err := strconv.Atoi(token); err == nil && i < len(container) {
				value = container[i]
			}
		}
	}
	return value
}

func pointer(location []string) string {
	var b strings.Builder
	for _, token := range location {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}
