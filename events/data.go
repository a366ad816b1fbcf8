package events

import "github.com/northstar-engines/realtime-registry/internal/envelope"

// newData returns the data of a type, from JSON that has passed the type's schema.
func newData(typ Type, object map[string]any) (Data, error) {
	text := func(name string) string {
		s, _ := object[name].(string)
		return s
	}
	switch typ {
	case ThreadCreatedType:
		return ThreadCreated{TenantID: text("tenant_id"), ThreadID: text("thread_id")}, nil
	case CanvasCreatedType:
		return CanvasCreated{TenantID: text("tenant_id"), CanvasID: text("canvas_id")}, nil
	case TenantMovedType:
		moved := TenantMoved{FromTenantID: text("from_tenant_id"), ToTenantID: text("to_tenant_id"), Reason: text("reason"), Actor: text("actor")}
		if items, ok := object["resources"].([]any); ok {
			moved.Resources = make([]ResourceRef, len(items))
			for i, item := range items {
				moved.Resources[i] = newResourceRef(item)
			}
		}
		return moved, nil
	case ThreadDeletedType:
		return ThreadDeleted{ThreadID: text("thread_id")}, nil
	case CanvasDeletedType:
		return CanvasDeleted{CanvasID: text("canvas_id")}, nil
	}
	return nil, envelope.Refuse(UnknownType, "type: %s", envelope.Shorten(string(typ)))
}

func newResourceRef(value any) ResourceRef {
	object, _ := value.(map[string]any)
	kind, _ := object["kind"].(string)
	id, _ := object["id"].(string)
	return ResourceRef{Kind: kind, ID: id}
}
