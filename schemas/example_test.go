package schemas_test

import (
	"fmt"

	"github.com/northstar-engines/realtime-registry/schemas"
)

// A publisher checks its data before it publishes.
func ExampleValidate() {
	fmt.Println(schemas.Validate("nexus.thread.created.v1", map[string]any{"tenant_id": "t_acme", "thread_id": "th_1"}))
	fmt.Println(schemas.Validate("nexus.thread.created.v1", map[string]any{"tenant_id": "ACME"}))
	// Output:
	// <nil>
	// data/tenant_id: "ACME" does not match ^t_[a-z0-9_-]{1,126}$; data/thread_id: missing
}
