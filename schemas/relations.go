package schemas

import "fmt"

const tenantMoved = "nexus.tenant.moved.v1"

// MaxTextBytes bounds each text for people in a move.
const MaxTextBytes = 512

// relations checks what JSON Schema cannot say: how values relate to each
// other. The data has passed its schema.
func relations(dataType string, data any) Faults {
	if dataType != tenantMoved {
		return nil
	}
	moved := data.(map[string]any)
	var faults Faults
	if moved["from_tenant_id"] == moved["to_tenant_id"] {
		faults = append(faults, Fault{"/to_tenant_id", fmt.Sprintf("%s is from_tenant_id too", quote(moved["to_tenant_id"]))})
	}
	for _, name := range []string{"reason", "actor"} {
		if text, _ := moved[name].(string); len(text) > MaxTextBytes {
			faults = append(faults, Fault{"/" + name, fmt.Sprintf("has %d bytes, more than %d", len(text), MaxTextBytes)})
		}
	}
	if resources, ok := moved["resources"].([]any); ok {
		faults = append(faults, repeats(resources)...)
	}
	return faults
}

// repeats finds the first resource that is named twice, even if the two items
// differ in an unknown property, which uniqueItems would allow.
func repeats(resources []any) Faults {
	type name struct{ kind, id any }
	first := make(map[name]int, len(resources))
	for i, item := range resources {
		resource := item.(map[string]any)
		n := name{resource["kind"], resource["id"]}
		if j, ok := first[n]; ok {
			return Faults{{fmt.Sprintf("/resources/%d", i), fmt.Sprintf("repeats item %d: %s %s", j, n.kind, quote(n.id))}}
		}
		first[n] = i
	}
	return nil
}
