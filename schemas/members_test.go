package schemas_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/schemas"
)

func move(members map[string]any) map[string]any {
	data := map[string]any{"from_tenant_id": "t_a", "to_tenant_id": "t_b"}
	for name, value := range members {
		data[name] = value
	}
	return data
}

const moved = string(events.TenantMovedType)

func TestAMoveWithAnotherMemberIsRefusedWithTheOneThatWasMeant(t *testing.T) {
	for name, want := range map[string]string{
		"Resources": "resources", "RESOURCES": "resources", "resource": "resources", "resource_ids": "resources", "resourceIds": "resources",
		"ressources": "resources", "resuorces": "resources", "resorces": "resources", "threads": "resources", "thread_ids": "resources",
		"canvas_id": "resources", "resources ": "resources", "From_tenant_id": "from_tenant_id", "fromTenantId": "from_tenant_id",
		"from": "from_tenant_id", "to": "to_tenant_id", "toTenant": "to_tenant_id", "tenant_to": "to_tenant_id",
		"reasons": "reason", "Actor": "actor", "actors": "actor", "note": "", "x_ticket": "", "everything": "", strings.Repeat("r", 500): "",
	} {
		err := schemas.Validate(moved, move(map[string]any{name: []any{}}))
		require.Error(t, err, name)
		if want == "" {
			require.ErrorContains(t, err, "not a field here: those of a move are from_tenant_id, to_tenant_id, resources, reason and actor", name)
		} else {
			require.ErrorContains(t, err, "not a field here, did you mean "+want, name)
		}
		require.Less(t, len(err.Error()), 300, "a name of any length stays readable")
	}
	require.EqualError(t, schemas.Validate(moved, move(map[string]any{"Resources": nil})), "data/Resources: not a field here, did you mean resources")
	require.NotContains(t, schemas.Validate(moved, move(map[string]any{"x\x1b[2K\u202e": 1})).Error(), "\x1b", "nor does it reach a terminal")
}

// Old archives still replay; what may have been a limit is refused there too.
func TestInAnArchiveOtherMembersOfAMoveAreDroppedUnlessTheyLookLikeResources(t *testing.T) {
	old := move(map[string]any{"x_ticket": "OPS-1", "note": map[string]any{"a": 1.0}, "reason": "merger"})
	require.NoError(t, schemas.Validate(moved, schemas.Archived(moved, old)))
	require.Equal(t, move(map[string]any{"reason": "merger"}), schemas.Archived(moved, old))
	require.Len(t, old, 5, "the data that it was given is left alone")
	for _, name := range []string{"Resources", "resource", "resource_ids", "thread_id"} {
		require.Error(t, schemas.Validate(moved, schemas.Archived(moved, move(map[string]any{name: []any{}}))), name)
	}
	created := map[string]any{"tenant_id": "t_a", "thread_id": "1", "x": 1.0}
	require.Equal(t, any(created), schemas.Archived(string(events.ThreadCreatedType), created))
}

func TestTheTextsOfAMoveArePrintableAndBounded(t *testing.T) {
	for _, name := range []string{"reason", "actor"} {
		for text, ok := range map[string]bool{
			"": true, "OPS-7: globex bought acme": true, "größer als 7 → 8": true, strings.Repeat("x", 512): true,
			strings.Repeat("x", 513): false, strings.Repeat("é", 256): true, strings.Repeat("é", 257): false,
			"a\nb": false, "a\x00": false, "\x1b[2K": false, "\u202egnp": false, "\u200b": false,
		} {
			err := schemas.Validate(moved, move(map[string]any{name: text}))
			require.Equal(t, ok, err == nil, "%s %.20q: %v", name, text, err)
			if err != nil {
				require.ErrorContains(t, err, "data/"+name)
			}
		}
		require.Error(t, schemas.Validate(moved, move(map[string]any{name: 7.0})))
		require.Error(t, schemas.Validate(moved, move(map[string]any{name: nil})))
	}
}
