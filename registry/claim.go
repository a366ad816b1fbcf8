package registry

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// A ClaimOption is an optional part of a claim. ForEvent makes one.
type ClaimOption struct {
	// EventSource and EventID name the event that the same creation publishes. They
	// are stored, and shown to operators (`registry-worker inspect`); nothing depends
	// on them. Both may be empty.
	EventSource, EventID string
}

// ForEvent names the event that the same creation publishes, by its source and its
// id (CloudEvents). Each has at most 1,024 bytes.
func ForEvent(source, id string) ClaimOption {
	return ClaimOption{EventSource: source, EventID: id}
}

const (
	maxNameBytes = 1024       // of an event's source, and of its id
	claimsOwn    = "registry" // the source of claims
)

// Validate returns an error that wraps ErrInvalid unless the event has neither a
// source nor an id, or has both, each of valid UTF-8 and at most 1,024 bytes. The
// source "registry" is reserved for claims.
func (o ClaimOption) Validate() error {
	if o == (ClaimOption{}) {
		return nil
	}
	var faults []error
	for what, text := range map[string]string{"source": o.EventSource, "id": o.EventID} {
		switch {
		case text == "":
			faults = append(faults, fmt.Errorf("%w: event %s: is empty: an event has a source and an id", ErrInvalid, what))
		case len(text) > maxNameBytes:
			faults = append(faults, fmt.Errorf("%w: event %s: has %d bytes, may have %d", ErrInvalid, what, len(text), maxNameBytes))
		case !utf8.ValidString(text):
			faults = append(faults, fmt.Errorf("%w: event %s: is not valid UTF-8", ErrInvalid, what))
		}
	}
	if o.EventSource == claimsOwn {
		faults = append(faults, fmt.Errorf("%w: event source: %q is reserved for claims", ErrInvalid, claimsOwn))
	}
	return errors.Join(faults...)
}
