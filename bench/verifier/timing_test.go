// Package verifier_test puts access checks to tests that take long: whether the
// time of a refusal tells a missing resource from a foreign one, how much checks of a
// real trace read, and how checks
// from memory compare with other authorizers.
//
//	go test ./verifier -run Time -checks 20000 -v
//	go test ./verifier -run Trace -real-trace DIR -v
//	go test ./verifier -bench .
package verifier_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

var checks = flag.Int("checks", 1000, "refusals of each sort, missing and foreign")

// tolerated is how far from chance (0.5) the area under the ROC curve may be.
const tolerated = 0.05

// A refusal reads the store, whatever the verifier knows: the time that it takes
// says nothing of whether somebody else owns the resource, even if that is in
// memory ("warm").
func TestTimeDoesNotTellMissingFromForeign(t *testing.T) {
	for name, warm := range map[string]bool{"cold": false, "warm": true} {
		t.Run(name, func(t *testing.T) {
			project := emulatortest.Firestore(t)
			store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions()})
			must(t, err)
			defer store.Close()
			v, err := verifier.New(store, verifier.Options{MaxStaleness: 2 * time.Second})
			must(t, err)
			t.Cleanup(v.Close)
			const resources = 200
			id := func(i int, sort string) string { return fmt.Sprintf("th_%s_%06d", sort, i%resources) }
			for i := range resources {
				must(t, registry.New(store).RegisterThread(t.Context(), "t_owner", id(i, "a")))
			}
			var mu sync.Mutex
			times := map[string][]float64{}
			ask := func() {
				sort := [...]string{"a", "b"}[rand.IntN(2)] // a is owned by somebody, b by nobody
				thread := id(rand.IntN(resources), sort)
				began := time.Now()
				err := v.VerifyThreadAccess(t.Context(), "t_asker", thread)
				took := time.Since(began)
				mu.Lock()
				defer mu.Unlock()
				if err != registry.ErrNotFound { //nolint:errorlint // the very value
					t.Error(err)
				}
				times[sort] = append(times[sort], took.Seconds())
			}
			for min(len(times["a"]), len(times["b"])) < *checks {
				if warm { // again and again, for MaxAge
					for i := range resources {
						must(t, v.VerifyThreadAccess(t.Context(), "t_owner", id(i, "a")))
					}
				}
				var askers sync.WaitGroup
				for range 4 {
					askers.Go(func() {
						for range min(250, *checks/4) {
							ask()
						}
					})
				}
				askers.Wait()
			}
			area := auc(times["a"], times["b"])
			t.Logf("%d foreign, %d missing: AUC %.3f, medians %.0f µs and %.0f µs", len(times["a"]), len(times["b"]),
				area, 1e6*median(times["a"]), 1e6*median(times["b"]))
			if area < .5-tolerated || area > .5+tolerated {
				t.Errorf("AUC %.3f: the time tells them apart", area)
			}
		})
	}
}

// auc is the probability that a value of a is greater than one of b (the
// Mann-Whitney statistic), with ties for half.
func auc(a, b []float64) float64 {
	slices.Sort(a)
	slices.Sort(b)
	less, upTo, sum := 0, 0, 0.0
	for _, x := range a {
		for less < len(b) && b[less] < x {
			less++
		}
		for upTo < len(b) && b[upTo] <= x {
			upTo++
		}
		sum += float64(less) + float64(upTo-less)/2
	}
	return sum / float64(len(a)) / float64(len(b))
}

func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

func TestAUCIsThatOfChanceWhereNothingDiffersAndOfCertaintyWhereAllDoes(t *testing.T) {
	for want, pair := range map[float64][2][]float64{
		.5: {{1, 2, 3}, {1, 2, 3}},
		1:  {{4, 5}, {1, 2, 3}},
		0:  {{1, 2}, {3}},
	} {
		if got := auc(pair[0], pair[1]); got != want {
			t.Errorf("AUC %v, want %v", got, want)
		}
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
