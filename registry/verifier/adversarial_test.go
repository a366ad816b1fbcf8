package verifier_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// What somebody would try: parts of paths and of document names, what looks like
// something else, what is cut off, escaped or folded somewhere on the way.
var tricks = []string{
	"a", "A", "th_1", "TH_1", "0", ".", "..", "/", "\\", "_", "__", "-", "~", ":", "@", "+", "=", "thread", "canvas", "thread__",
	"canvas__", "__name__", "documents/", "../", "%2F", "%2e%2e", "%", "?", "#", " ", "\t", "\n", "\r\n", "\x00", "'", "\"", "`", "*",
	"é", "e\u0301", "ａ", "а", "\u200b", "\u202e", "\ufeff", "\xff", "ſ", "K", strings.Repeat("x", 254), strings.Repeat("x", 256),
}

func adversarial() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom(tricks), 0, 4), func(parts []string) string { return strings.Join(parts, "") }),
		rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,3}`),
		rapid.String(),
	)
}

func adversarialResource() *rapid.Generator[registry.Resource] {
	kinds := rapid.OneOf(
		rapid.SampledFrom([]registry.Kind{registry.Thread, registry.Canvas}), rapid.SampledFrom([]registry.Kind{registry.Thread, registry.Canvas}),
		rapid.SampledFrom([]registry.Kind{"", "t", "Thread", "thread_", "thread__a", "media", "thread/"}),
	)
	return rapid.Custom(func(t *rapid.T) registry.Resource {
		return registry.Resource{Kind: kinds.Draw(t, "kind"), ID: adversarial().Draw(t, "id")}
	})
}

// wellFormed is what design §2 says, without the expression that the code has.
func wellFormed(r registry.Resource) bool {
	letter := func(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' }
	if r.Kind != "thread" && r.Kind != "canvas" || r.ID == "" || len(r.ID) > 256 || !letter(rune(r.ID[0])) {
		return false
	}
	return strings.IndexFunc(r.ID, func(c rune) bool { return !letter(c) && !strings.ContainsRune("._~:@+=-", c) }) < 0
}

// By https://firebase.google.com/docs/firestore/quotas.
var reservedName = regexp.MustCompile(`^(\.|\.\.|__.*__)$`)

func TestNoTwoResourcesShareADocumentAndNoneLeavesTheCollection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		documents := map[string]registry.Resource{}
		for _, r := range rapid.SliceOfN(adversarialResource(), 1, 8).Draw(t, "resources") {
			require.Equal(t, wellFormed(r), r.Validate() == nil, "%q", r)
			if r.Validate() != nil {
				continue
			}
			name := r.DocumentID()
			if other, taken := documents[name]; taken {
				require.Equal(t, other, r)
			}
			documents[name] = r
			back, err := registry.ParseDocumentID(name)
			require.NoError(t, err)
			require.Equal(t, r, back)
			require.NotContains(t, name, "/")
			require.False(t, reservedName.MatchString(name), name)
			require.True(t, utf8.ValidString(name))
			require.LessOrEqual(t, len(name), 1500)
		}
	})
}

// undated hides a test's Deadline, which may not be asked for in a bubble.
type undated struct{ rapid.TB }

// Each resource has an owner of its own. Whatever is asked for, by whom, and
// whether it is read or in memory: its owner is let in, everybody else is
// refused, and what is not well-formed does not reach the store.
func TestAdversarialIDsNeitherMeetNorReachTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which refusals take no time
		rapid.Check(undated{t}, func(rt *rapid.T) {
			asked := rapid.SliceOfNDistinct(adversarialResource(), 2, 6, func(r registry.Resource) registry.Resource { return r }).Draw(rt, "resources")
			store := newFeedStore()
			ctx := t.Context()
			tenant := func(i int) string { return fmt.Sprint("t_", i) }
			for i, r := range asked {
				_, err := store.Claim(ctx, tenant(i), r)
				require.Equal(rt, wellFormed(r), err == nil, "%q", r)
			}
			v, err := verifier.New(store, verifier.Options{MaxStaleness: S})
			require.NoError(rt, err)
			synctest.Wait()
			for range 2 { // by reading, then from memory
				for i := range asked {
					for j, err := range v.VerifyAll(ctx, tenant(i), asked) {
						switch {
						case !wellFormed(asked[j]):
							require.ErrorIs(rt, err, registry.ErrInvalid)
						case i == j:
							require.NoError(rt, err)
						default:
							require.ErrorIs(rt, err, registry.ErrNotFound)
						}
					}
					bad := adversarial().Draw(rt, "tenant")
					if registry.ValidateTenant(bad) != nil {
						require.ErrorIs(rt, v.Verify(ctx, bad, asked[i]), registry.ErrInvalid)
					}
				}
			}
			for _, read := range store.reads {
				for _, r := range read {
					require.True(rt, wellFormed(r), "%q", r)
				}
			}
			v.Close()
		})
	})
}
