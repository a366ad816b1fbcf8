package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/excerpt"
)

// Kind is a kind of resource that a tenant can own.
type Kind string

// The kinds of resources. Their names are part of document names and of the
// HTTP paths, and are fixed.
const (
	Thread Kind = "thread"
	Canvas Kind = "canvas"
)

// Kinds returns every kind, in byte order.
func Kinds() []Kind { return []Kind{Canvas, Thread} }

// Resource names a thread or a canvas. Ids are case-sensitive.
type Resource struct {
	Kind Kind
	ID   string
}

// The patterns of design §2. Everything else is refused, so that no two resources
// share a document name and none can leave the collection.
const (
	TenantPattern   = `^t_[a-z0-9_-]{1,126}$`
	ResourcePattern = `^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}$`
)

var (
	tenantRegexp   = regexp.MustCompile(TenantPattern)
	resourceRegexp = regexp.MustCompile(ResourcePattern)
)

// ValidateTenant returns an error that wraps ErrInvalid unless id is a tenant
// id.
func ValidateTenant(id string) error {
	if !tenantRegexp.MatchString(id) {
		return fmt.Errorf("%w: tenant %s does not match %s", ErrInvalid, excerpt.Quote(id), TenantPattern)
	}
	return nil
}

// Validate returns an error that wraps ErrInvalid unless the kind is known and
// the id matches ResourcePattern.
func (r Resource) Validate() error {
	if r.Kind != Thread && r.Kind != Canvas {
		return fmt.Errorf("%w: kind %s is neither thread nor canvas", ErrInvalid, excerpt.Quote(string(r.Kind)))
	}
	if !resourceRegexp.MatchString(r.ID) {
		return fmt.Errorf("%w: %s id %s does not match %s", ErrInvalid, r.Kind, excerpt.Quote(r.ID), ResourcePattern)
	}
	return nil
}

// DocumentID is the name of the resource's document, "thread__{id}" or
// "canvas__{id}" (design §3). It is injective over valid resources.
func (r Resource) DocumentID() string { return string(r.Kind) + "__" + r.ID }

// String returns the resource as people read it: "thread/th_1".
func (r Resource) String() string { return string(r.Kind) + "/" + r.ID }

// ParseDocumentID is the inverse of DocumentID. The error wraps ErrInvalid.
func ParseDocumentID(name string) (Resource, error) {
	kind, id, ok := strings.Cut(name, "__")
	r := Resource{Kind: Kind(kind), ID: id}
	if !ok {
		return Resource{}, fmt.Errorf("%w: document name %s has no kind", ErrInvalid, excerpt.Quote(name))
	}
	return r, r.Validate()
}
