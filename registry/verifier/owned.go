package verifier

import (
	"context"
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Owned reports which of the resources the tenant owns, in order, all as of one
// time after the call. It makes one read, and answers nothing from memory. It takes
// at most 500 resources. The errors are those of Verify, except ErrNotFound; if one
// of the resources is at fault, the error is an IndexError.
func (v *Verifier) Owned(ctx context.Context, tenantID string, resources []registry.Resource) ([]bool, error) {
	if len(resources) > maxList {
		return nil, fmt.Errorf("%w: %d resources: at most %d can be read as of one time", registry.ErrInvalid, len(resources), maxList)
	}
	var asked []Ownership
	places := make([]int, len(resources)) // in asked, which has each resource once
	known := map[registry.Resource]int{}
	for i, r := range resources {
		if err := validate(tenantID, r); err != nil {
			return nil, &IndexError{i, err}
		}
		place, is := known[r]
		if !is {
			place = len(asked)
			known[r] = place
			asked = append(asked, Ownership{tenantID, r})
		}
		places[i] = place
	}
	if len(asked) == 0 {
		return nil, nil
	}
	_, errs := v.readOwnerships(ctx, asked, func() {}, 0)
	owned := make([]bool, len(resources))
	for i, place := range places {
		switch err := errs[place]; {
		case err == nil:
			owned[i] = true
		case isRefusal(err):
		default:
			return nil, &IndexError{slices.Index(places, place), err}
		}
	}
	return owned, nil
}
