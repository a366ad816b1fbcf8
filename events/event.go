package events

import "time"

// Type is the type of a Nexus event (design §2).
type Type string

// The types that a publisher may send.
const (
	ThreadCreatedType Type = "nexus.thread.created.v1"
	CanvasCreatedType Type = "nexus.canvas.created.v1"
	TenantMovedType   Type = "nexus.tenant.moved.v1"
	ThreadDeletedType Type = "nexus.thread.deleted.v1"
	CanvasDeletedType Type = "nexus.canvas.deleted.v1"
)

// Topic returns the Pub/Sub topic that events of the type are published to; "" if
// the type is not a published one.
func (t Type) Topic() string {
	switch t {
	case ThreadCreatedType:
		return "nexus-thread-created"
	case CanvasCreatedType:
		return "nexus-canvas-created"
	case TenantMovedType:
		return "nexus-tenant-moved"
	case ThreadDeletedType:
		return "nexus-thread-deleted"
	case CanvasDeletedType:
		return "nexus-canvas-deleted"
	}
	return ""
}

// Subscription returns the default name of the worker's subscription to the topic;
// "" if there is no topic. A subscription of that name carries this type alone,
// unless --accept says otherwise.
func (t Type) Subscription() string {
	if t.Topic() == "" {
		return ""
	}
	return t.Topic() + ".realtime-registry"
}

// PublishedTypes returns the types that a publisher may send.
func PublishedTypes() []Type {
	return []Type{ThreadCreatedType, CanvasCreatedType, TenantMovedType, ThreadDeletedType, CanvasDeletedType}
}

// An Event is a CloudEvent that has passed every check: its type is known, its data
// fits the type's schema, its time is not from the future.
type Event struct {
	ID     string    // with Source, names the event
	Source string    // a URI reference in CloudEvents; any text is accepted
	Time   time.Time // UTC, to the nanosecond
	Data   Data      // never nil

	Subject     string // optional
	DataSchema  string // optional
	TraceParent string // optional: W3C trace context of the publisher
}

// Type returns the type of the event, which is that of its data.
func (e Event) Type() Type { return e.Data.Type() }

// Data is the payload of an event: ThreadCreated, CanvasCreated, TenantMoved,
// ThreadDeleted or CanvasDeleted.
type Data interface {
	// Type returns the event type that carries this data.
	Type() Type
}

// ThreadCreated says that a tenant created a thread.
type ThreadCreated struct {
	TenantID string `json:"tenant_id"`
	ThreadID string `json:"thread_id"`
}

// CanvasCreated says that a tenant created a canvas.
type CanvasCreated struct {
	TenantID string `json:"tenant_id"`
	CanvasID string `json:"canvas_id"`
}

// TenantMoved says that resources of one tenant now belong to another: those
// that it names, or, if Resources is nil, everything that From owns. An
// empty list is neither, and is refused: it encodes as [], not as absent.
type TenantMoved struct {
	FromTenantID string        `json:"from_tenant_id"`
	ToTenantID   string        `json:"to_tenant_id"`
	Resources    []ResourceRef `json:"resources,omitzero"` // nil, or 1 to 500 without repeats
	Reason       string        `json:"reason,omitempty"`   // why, for people
	Actor        string        `json:"actor,omitempty"`    // on whose behalf, for people
}

// ThreadDeleted says that a thread is gone for good. It names no tenant: it holds for the
// one that owns the thread by then.
type ThreadDeleted struct {
	ThreadID string `json:"thread_id"`
}

// CanvasDeleted says that a canvas is gone for good. It names no tenant: it holds for the
// one that owns the canvas by then.
type CanvasDeleted struct {
	CanvasID string `json:"canvas_id"`
}

// ResourceRef names a resource in an event.
type ResourceRef struct {
	Kind string `json:"kind"` // "thread" or "canvas"
	ID   string `json:"id"`
}

// Type implements Data.
func (ThreadCreated) Type() Type { return ThreadCreatedType }

// Type implements Data.
func (CanvasCreated) Type() Type { return CanvasCreatedType }

// Type implements Data.
func (TenantMoved) Type() Type { return TenantMovedType }

// Type implements Data.
func (ThreadDeleted) Type() Type { return ThreadDeletedType }

// Type implements Data.
func (CanvasDeleted) Type() Type { return CanvasDeletedType }
