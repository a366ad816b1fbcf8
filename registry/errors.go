package registry

import "errors"

// What every caller may get, each by errors.Is.
var (
	// ErrInvalid: an id or a tenant breaks its pattern; the store was not
	// asked. The caller's fault.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the store did not answer in time. Nothing is known: it is
	// neither an allow nor a refusal.
	ErrUnavailable = errors.New("registry unavailable")
)

// What reading an owner may get.
var (
	// ErrNotFound: nobody owns the resource, or somebody else does. The two are
	// not told apart, so that nobody learns which ids exist.
	ErrNotFound = errors.New("not found")
)

// What registering may get.
var (
	// ErrConflict: another tenant owns the resource; nothing was stored.
	ErrConflict = errors.New("owned by another tenant")
)
