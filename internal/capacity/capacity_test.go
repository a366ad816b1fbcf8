package capacity

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

func line(t *testing.T, p Parameters, work string) Line {
	t.Helper()
	for _, l := range p.Bill() {
		if l.Work == work {
			return l
		}
	}
	require.FailNow(t, "no such line", work)
	return Line{}
}

func TestAMillionCreationsCostNinetyCents(t *testing.T) {
	l := line(t, Parameters{Creations: 1e6 / month}, "creations")
	require.InDelta(t, 1e6, l.Writes, 1)
	require.Zero(t, l.Reads)
	require.InDelta(t, 0.90, l.Dollars, 0.001)
}

func TestChecksThatTheCacheAnswersCostNothing(t *testing.T) {
	p := Defaults()
	all := line(t, p, "access checks").Dollars
	p.CacheHits = 0.9
	require.InDelta(t, all/10, line(t, p, "access checks").Dollars, 0.01)
}

// The figures of docs/verifier.md, which are for an hour.
func TestCertifyingCostsWhatTheVerifiersManualSays(t *testing.T) {
	for staleness, want := range map[time.Duration]struct{ anHour, whileMoving, aMove float64 }{
		time.Second: {14_418, 7_200, 2.5}, 2 * time.Second: {7_218, 3_600, 1.75}, 10 * time.Second: {1_458, 720, 1.15}, time.Minute: {258, 120, 1.03}, 0: {},
	} {
		p := Parameters{Transports: 1, Checks: 1, MaxStaleness: staleness}
		require.InDelta(t, want.anHour*24*month, line(t, p, "verifiers that certify").Reads, 1, "%v", staleness)
		p.ResourceMoves = 10 // far apart
		require.InDelta(t, min(1, want.aMove)*10*month, line(t, p, "verifiers that hear of moves").Reads, 0.05*10*month, "%v", staleness)
		p.ResourceMoves = 10 * day
		require.InDelta(t, (want.whileMoving*24+want.aMove*10*day)*month, line(t, p, "verifiers that hear of moves").Reads, 0.03*10*day*month, "%v", staleness)
	}
	require.Zero(t, line(t, Parameters{Transports: 1, MaxStaleness: time.Second}, "verifiers that certify").Reads, "nobody asks")
}

func TestOpenStreamsCostNextToNothingOncePlainSetsAreOver(t *testing.T) {
	p := Parameters{Streams: 100_000, MaxStaleness: time.Second, MaxAge: 30 * time.Second}
	require.InDelta(t, 3456, line(t, p, "open streams, read again").Dollars, 1)
	p.MaxAge = 24 * time.Hour
	require.InDelta(t, 1.2, line(t, p, "open streams, read again").Dollars, 0.01)
	p.MaxAge = 0
	require.Zero(t, line(t, p, "open streams, read again").Reads)
}

func TestAClaimAndItsEventAreTwoReadsAndOneWrite(t *testing.T) {
	l := line(t, Parameters{Creations: 1 / month, Claims: 1}, "claims and their events")
	require.InDelta(t, 2, l.Reads, 0.001)
	require.InDelta(t, 1, l.Writes, 0.001)
}

func TestMovingATenantCostsTwoWritesAndThenItsDocuments(t *testing.T) {
	p := Parameters{Tenants: 1, Resources: 10, TenantMoves: 1 / month}
	require.InDelta(t, 2+10, line(t, p, "moves of tenants").Writes, 0.001)
}

// The same reckoning as the worker's, which moves plan prints (internal/rewrite).
func TestDocumentsAreRewrittenByTheRampAsFarAsTheWorkerCanFollow(t *testing.T) {
	p := Parameters{RewritingRate: 1e9}
	require.InDelta(t, 45, p.Rewriting(10e6).Minutes(), 3, "by the ramp alone")
	p.RewritingRate = 1000
	require.InDelta(t, 10e6/1000/60, p.Rewriting(10e6).Minutes(), 6, "most of them at what the worker does")
	speed := rewrite.Speed{Rate: governor.Ramp, Had: 1000}
	require.Equal(t, speed.Duration(10e6), p.Rewriting(10e6)-writerHorizon)
	require.Equal(t, fsregistry.LedgerStaleness+fsregistry.CommitDeadline, writerHorizon)
}

func TestOneProcessWritesAsFastAsItsCoreCan(t *testing.T) {
	p := Parameters{WorkerCPU: 100 * time.Microsecond}
	require.InDelta(t, 300e6/10_000/3600, p.Writing(300e6).Hours(), 0.6)
}

func TestTheNextWallIsTheLimitOfWhichMostIsUsed(t *testing.T) {
	p := Defaults()
	p.TenantMoves, p.Peak, p.Years = 86_400, 2, 0
	require.Contains(t, p.Report(), "The next wall: the ledger's head, at 200.0 % of 1 write/s.")
}

func TestTheRampFromColdIsFiveMinutesForEveryFiftyPercent(t *testing.T) {
	p := Parameters{Creations: day, Peak: 500}
	require.Zero(t, p.RampUp())
	p.Peak = 750
	require.Equal(t, 5*time.Minute, p.RampUp())
	p.Peak = 751
	require.Equal(t, 10*time.Minute, p.RampUp())
}

func TestThereAreWorkersForThePeakAndOneMayFail(t *testing.T) {
	require.InDelta(t, 2, Defaults().WorkersNeeded(), 0)
	busy := Parameters{Creations: day, Peak: 100_000, WorkerCPU: 100 * time.Microsecond}
	require.InDelta(t, 20, busy.WorkersNeeded(), 0, "ten cores at half of what they can")
}

// The bytes that the sizes assume are those of a real event.
func TestTheMessageIsAsLargeAsARealOne(t *testing.T) {
	e := example()
	var err error
	e.Time, err = time.Parse(time.RFC3339Nano, exampleTime)
	require.NoError(t, err)
	attributes, data, err := events.Encode(e)
	require.NoError(t, err)
	bytes := len(data) + 20 + len("12345678901234567")
	for name, value := range attributes {
		bytes += len(name) + len(value)
	}
	require.InDelta(t, messageBytes, bytes, messageBytes/10)
}

func TestParametersAreValidated(t *testing.T) {
	require.NoError(t, Defaults().Validate())
	err := Parameters{Tenants: -1, Checks: math.NaN(), CacheHits: 2}.Validate()
	for _, fault := range []string{"tenants", "checks", "cache hits", "peak"} {
		require.ErrorContains(t, err, fault)
	}
}

func TestTheReportNamesEveryLimit(t *testing.T) {
	report := Defaults().Report()
	for _, l := range Defaults().Limits() {
		require.Equal(t, 1, strings.Count(report, "| "+l.Name+" |"), l.Name)
	}
}
