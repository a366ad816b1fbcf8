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
	// ErrTooNew: what would have to be read is stored in a way that this version
	// does not understand, and is left alone. Such an error also wraps
	// ErrUnavailable, and names the document.
	ErrTooNew = errors.New("not understood by this version")
	// ErrNotUpgraded: the registry was written by commit 1571751, beside which this
	// version cannot run. Its text says what to do.
	ErrNotUpgraded = errors.New("it is of commit 1571751: stop every process of that, then run `registry-worker upgrade`")
	// ErrIncompatible: the registry says that this version, or this process's
	// settings, must not take part. Such an error also wraps ErrUnavailable.
	ErrIncompatible = errors.New("this version may not take part")
)

// What reading an owner, or checking one (package verifier), may get.
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
