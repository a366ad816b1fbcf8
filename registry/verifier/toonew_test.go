package verifier_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestACheckOfWhatIsNotUnderstoodIsUnavailableAndSpoilsNoOther(t *testing.T) {
	for name, o := range map[string]verifier.Options{
		"without a cache": {}, "with a cache": {MaxStaleness: time.Second}, "with a grace": {MissGrace: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			store := memregistry.New()
			later, known := registry.Resource{Kind: registry.Thread, ID: "later"}, registry.Resource{Kind: registry.Thread, ID: "known"}
			for _, r := range []registry.Resource{later, known} {
				_, err := store.Claim(t.Context(), "t_a", r)
				require.NoError(t, err)
			}
			storetest.Outside{DB: store.DB()}.SetFormat(later.DocumentID(), ownership.Format+1)
			v, err := verifier.New(store, o)
			require.NoError(t, err)
			t.Cleanup(v.Close)
			for _, tenant := range []string{"t_a", "t_b"} {
				err := v.Verify(t.Context(), tenant, later)
				require.ErrorIs(t, err, registry.ErrUnavailable, "neither an allow nor a refusal")
				require.ErrorIs(t, err, registry.ErrTooNew)
			}
			errs := v.VerifyAll(t.Context(), "t_a", []registry.Resource{known, later})
			require.NoError(t, errs[0])
			require.ErrorIs(t, errs[1], registry.ErrUnavailable)
		})
	}
}
