package registry

import "errors"

// Errors that every method may return. Test for them with errors.Is.
var (
	// ErrInvalid: an id or a tenant does not match its pattern. The store was not
	// asked.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the store did not answer in time. Nothing is known: it is
	// neither an allow nor a refusal.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrTooNew: the stored document has a format that this version does not
	// understand, and is left alone. Such an error also wraps ErrUnavailable, and
	// names the document.
	ErrTooNew = errors.New("not understood by this version")
	// ErrNotUpgraded: the registry was written by commit 1571751, and this version
	// cannot run beside that. The text says what to do.
	ErrNotUpgraded = errors.New("it is of commit 1571751: stop every process of that, then run `registry-worker upgrade`")
	// ErrIncompatible: the registry does not admit this version, or this process's
	// settings. Such an error also wraps ErrUnavailable.
	ErrIncompatible = errors.New("this version may not take part")
)

// Errors of reading an owner, and of checking one (package verifier).
var (
	// ErrNotFound: the resource has no owner, or, for a check, another one. The two
	// cases look alike, so that no one learns which ids exist.
	ErrNotFound = errors.New("not found")
)

// Errors of registering.
var (
	// ErrConflict: another tenant owns the resource; nothing was stored.
	ErrConflict = errors.New("owned by another tenant")
)
