package main

import (
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
)

// target is how long the whole target takes: what the worker needs for its jobs, and
// for its documents at the ramp.
func (m *massMove) target() (all, ramp time.Duration, perSecond float64) {
	each := migratedDocuments*m.perDocument + m.perJob
	perSecond = migratedDocuments / each.Seconds()
	const documents = migratedTenants * migratedDocuments
	return governor.Ramp.DurationFrom(governor.Pace{}, perSecond, documents), governor.Ramp.Duration(documents), perSecond
}

func (m *massMove) scaled() scaled {
	all, ramp, perSecond := m.target()
	rate, _ := governor.Parse(migratedRate)
	wait := func(a, b []time.Duration, p int) string {
		return milliseconds(percentile(a, p)) + ", " + milliseconds(percentile(b, p))
	}
	slower := func(a, b []time.Duration, p int) bool {
		return percentile(b, p) > percentile(a, p)+percentile(a, p)/4
	}
	t := table{title: "Tenants migrated, creations and checks going on", header: []string{"", "seen"}, notes: []string{
		fmt.Sprintf("%v away. The target is %d tenants with %d documents each on average. Migrated here are %d tenants with %d each, spread as tenants are (Pareto, exponent 1.5), at %s documents a second; and, without a bound and each in a registry of its own, one of %d documents, and %d of one. An emulator takes no more: it has no indexes, and looks at the whole collection for each query, so that twice the tenants take it four times as long.",
			ledgerRoundTrip, migratedTenants, migratedDocuments, migratedSome, migratedHere, migratedRate, migratedLarge, migratedMany),
		"*The whole target* is computed from that: the ramp, bounded by what a worker of this machine takes, which it shares with the emulator.",
		"*Direct readers* wait from the commit of their tenant's move to the end of its job.",
	}, rows: [][]string{
		{fmt.Sprintf("%s documents of %s tenants", grouped(m.documents), grouped(migratedSome)), m.took.Round(time.Second).String()},
		{"of which the rate takes", rate.Duration(int64(m.documents)).Round(time.Second).String()},
		{"documents read, written", grouped(int(m.read)) + ", " + grouped(int(m.written))},
		{"direct readers: half of them, 99 of 100, all", fmt.Sprintf("%v, %v, %v", percentile(m.lags, 50).Round(time.Second), percentile(m.lags, 99).Round(time.Second), percentile(m.lags, 100).Round(time.Second))},
		{"a worker alone, for a document, and for a job beside", fmt.Sprintf("%v, %v", m.perDocument.Round(time.Microsecond), m.perJob.Round(time.Microsecond))},
		{fmt.Sprintf("so, if tenants have %d documents", migratedDocuments), fmt.Sprintf("%.0f documents a second", perSecond)},
		{"the whole target: by the ramp, and by the worker too", fmt.Sprintf("%v, %v", ramp.Round(time.Minute), all.Round(time.Minute))},
		{"checks, without and meanwhile: p50", wait(m.quiet.checks, m.during.checks, 50)},
		{"p99", wait(m.quiet.checks, m.during.checks, 99)},
		{"creations, without and meanwhile: p50", wait(m.quiet.creations, m.during.creations, 50)},
		{"p99", wait(m.quiet.creations, m.during.creations, 99)},
	}}
	return scaled{tables: []table{t}, rows: []scaleRow{
		{fmt.Sprintf("%s tenants of %d documents", grouped(migratedTenants), migratedDocuments), "2 to 2.6 h", "≤ 1 h", all.Round(time.Minute).String(), all <= migratedWithin},
		{"checks meanwhile, p50", "", "as without, + 25 %", wait(m.quiet.checks, m.during.checks, 50), !slower(m.quiet.checks, m.during.checks, 50)},
		{"creations meanwhile, p50", "", "as without, + 25 %", wait(m.quiet.creations, m.during.creations, 50), !slower(m.quiet.creations, m.during.creations, 50)},
	}}
}
