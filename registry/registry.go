package registry

import "context"

// Store is what a Registry needs of a store. Packages fsregistry and memregistry
// open one. An error wraps ErrInvalid if an id does not match its pattern, else one
// of the errors that the method names, else ErrUnavailable.
type Store interface {
	// Claim registers a resource for a tenant with the store's time. It returns
	// true if the tenant became the owner by this call, false if it was the owner
	// already, and an error that wraps ErrConflict if another tenant owns the
	// resource; in the last two cases nothing is stored.
	Claim(ctx context.Context, tenantID string, resource Resource, options ...ClaimOption) (created bool, err error)

	// Owner returns the tenant that owns the resource, as of a time that is not
	// before the call; ErrNotFound if it was never registered.
	Owner(ctx context.Context, resource Resource) (tenantID string, err error)
}

// Registry has the operations that create flows and transports written in Go call.
// It is safe for concurrent use.
type Registry struct{ store Store }

// New returns a registry over the store. The caller closes the store.
func New(store Store) *Registry { return &Registry{store: store} }

// RegisterThread claims a thread for a tenant. Repeating it is not an error. If
// another tenant owns the thread, the error wraps ErrConflict, and nothing is
// stored. Other errors: ErrInvalid; ErrUnavailable, after which the claim may or
// may not have been stored: repeat it.
func (r *Registry) RegisterThread(ctx context.Context, tenantID, threadID string, options ...ClaimOption) error {
	_, err := r.Claim(ctx, tenantID, Resource{Thread, threadID}, options...)
	return err
}

// RegisterCanvas is RegisterThread for a canvas.
func (r *Registry) RegisterCanvas(ctx context.Context, tenantID, canvasID string, options ...ClaimOption) error {
	_, err := r.Claim(ctx, tenantID, Resource{Canvas, canvasID}, options...)
	return err
}

// Claim is what the Register functions do; created reports whether this call made
// the tenant the owner.
func (r *Registry) Claim(ctx context.Context, tenantID string, resource Resource, options ...ClaimOption) (created bool, err error) {
	if err := ValidateTenant(tenantID); err != nil {
		return false, err
	}
	if err := resource.Validate(); err != nil {
		return false, err
	}
	for _, o := range options {
		if err := o.Validate(); err != nil {
			return false, err
		}
	}
	return r.store.Claim(ctx, tenantID, resource, options...)
}

// ThreadTenant returns the tenant that owns a thread now, read from the store.
// Errors: ErrNotFound if it was never registered, ErrInvalid, ErrUnavailable.
func (r *Registry) ThreadTenant(ctx context.Context, threadID string) (tenantID string, err error) {
	return r.owner(ctx, Resource{Thread, threadID})
}

// CanvasTenant is ThreadTenant for a canvas.
func (r *Registry) CanvasTenant(ctx context.Context, canvasID string) (tenantID string, err error) {
	return r.owner(ctx, Resource{Canvas, canvasID})
}

func (r *Registry) owner(ctx context.Context, resource Resource) (string, error) {
	if err := resource.Validate(); err != nil {
		return "", err
	}
	return r.store.Owner(ctx, resource)
}
