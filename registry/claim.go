package registry

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// EventName is what names an event: its source and its id (CloudEvents). The zero
// EventName names none.
type EventName struct{ Source, ID string }

// MaxNameBytes is the longest source, and the longest id, of an event, in bytes.
const MaxNameBytes = 1024

// claimsOwn is the source of claims.
const claimsOwn = "registry"

// Validate returns an error that wraps ErrInvalid unless the name is zero, or has
// both a source and an id, each of valid UTF-8 and at most MaxNameBytes. The source
// "registry" is reserved for claims.
func (n EventName) Validate() error {
	if n == (EventName{}) {
		return nil
	}
	var faults []error
	for what, text := range map[string]string{"source": n.Source, "id": n.ID} {
		switch {
		case text == "":
			faults = append(faults, fmt.Errorf("%w: event %s: is empty: an event has a source and an id", ErrInvalid, what))
		case len(text) > MaxNameBytes:
			faults = append(faults, fmt.Errorf("%w: event %s: has %d bytes, may have %d", ErrInvalid, what, len(text), MaxNameBytes))
		case !utf8.ValidString(text):
			faults = append(faults, fmt.Errorf("%w: event %s: is not valid UTF-8", ErrInvalid, what))
		}
	}
	if n.Source == claimsOwn {
		faults = append(faults, fmt.Errorf("%w: event source: %q is reserved for claims", ErrInvalid, claimsOwn))
	}
	return errors.Join(faults...)
}

// ClaimOptions are the optional parts of a claim.
type ClaimOptions struct {
	// Event names the event that the same creation publishes. It is stored, and
	// shown to operators (`registry-worker inspect`); nothing depends on it.
	Event EventName
}

// ClaimOption changes ClaimOptions.
type ClaimOption func(*ClaimOptions)

// ForEvent names the event that the same creation publishes.
func ForEvent(source, id string) ClaimOption {
	return func(o *ClaimOptions) { o.Event = EventName{source, id} }
}

// NewClaimOptions returns what the options say. Stores call it.
func NewClaimOptions(options ...ClaimOption) ClaimOptions {
	var o ClaimOptions
	for _, set := range options {
		set(&o)
	}
	return o
}
