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

// massMoves is what was measured beside the emulator, and in memory, where as many
// tenants as the target has were migrated too.
func massMoves(emulator, memory, many *massMove) scaled {
	_, ramp, _ := memory.target()
	t := table{title: "Tenants migrated, creations and checks going on", header: []string{"", "emulator", "in memory", "as many as the target, in memory"}, notes: []string{
		fmt.Sprintf("%v away, all. The target is %s tenants with %d documents each on average. Migrated here are %d tenants with %d each, spread as tenants are (Pareto, exponent 1.5), at %s documents a second; in memory, where the database has an index, also %s tenants with %d each, by the ramp; and, without a bound and each in a registry of its own, one of %s documents, and %d of one. An emulator takes no more: it has no indexes, and looks at the whole collection for each query, so that twice the tenants take it four times as long. In memory the %d documents of each tenant would take more memory than this machine has.",
			ledgerRoundTrip, grouped(migratedTenants), migratedDocuments, migratedSome, migratedHere, migratedRate, grouped(many.tenants), many.average, grouped(migratedLarge), migratedMany, migratedDocuments),
		"*The whole target* is computed from that: the ramp, bounded by what a worker of this machine takes, which it shares with the emulator.",
		"*Direct readers* wait from the commit of their tenant's move to the end of its job.",
		"*The same calls* are the queries, counts and writes of documents that the worker made, made again at the same times by a client that does nothing else, without a worker: what others wait for beside these is the emulator's, and no worker's.",
	}}
	row := func(what string, of func(*massMove) string) {
		t.rows = append(t.rows, []string{what, of(emulator), of(memory), of(many)})
	}
	row("tenants, their documents", func(m *massMove) string { return grouped(m.tenants) + ", " + grouped(m.documents) })
	row("took", func(m *massMove) string { return m.took.Round(time.Second).String() })
	row("of which the rate takes", func(m *massMove) string { return m.rate.Duration(int64(m.documents)).Round(time.Second).String() })
	row("documents read, written", func(m *massMove) string { return grouped(int(m.read)) + ", " + grouped(int(m.written)) })
	row("direct readers: half of them, 99 of 100, all", func(m *massMove) string {
		return fmt.Sprintf("%v, %v, %v", percentile(m.lags, 50).Round(time.Second), percentile(m.lags, 99).Round(time.Second), percentile(m.lags, 100).Round(time.Second))
	})
	row("a worker alone, for a document, and for a job beside", func(m *massMove) string {
		return fmt.Sprintf("%v, %v", m.perDocument.Round(time.Microsecond), m.perJob.Round(time.Microsecond))
	})
	row(fmt.Sprintf("so, if tenants have %d documents", migratedDocuments), func(m *massMove) string {
		_, _, perSecond := m.target()
		return fmt.Sprintf("%.0f documents a second", perSecond)
	})
	row(fmt.Sprintf("the whole target: by the ramp alone %v, by the worker too", ramp.Round(time.Minute)), func(m *massMove) string {
		all, _, _ := m.target()
		return all.Round(time.Minute).String()
	})
	for _, who := range []struct {
		name  string
		times func(others) []time.Duration
	}{{"checks", checksOf}, {"creations", creationsOf}} {
		for _, p := range []int{50, 99} {
			row(fmt.Sprintf("%s, p%d: without, meanwhile, beside the same calls", who.name, p), func(m *massMove) string {
				text := waited(p, who.times(m.quiet), who.times(m.during))
				if m.repeats {
					text += ", " + milliseconds(percentile(who.times(m.again), p))
				}
				return text
			})
		}
	}
	return scaled{tables: []table{t}, rows: massMoveRows(emulator, memory, many)}
}

func checksOf(o others) []time.Duration    { return o.checks }
func creationsOf(o others) []time.Duration { return o.creations }

// waited is a percentile of two measurements.
func waited(p int, a, b []time.Duration) string {
	return milliseconds(percentile(a, p)) + ", " + milliseconds(percentile(b, p))
}

// massMoveRows are the figures that must hold.
func massMoveRows(emulator, memory, many *massMove) []scaleRow {
	target, _, _ := emulator.target()
	rows := []scaleRow{{fmt.Sprintf("%s tenants of %d documents, in memory", grouped(many.tenants), many.average),
		"", "≤ " + migratedWithin.String(), many.took.Round(time.Second).String(), many.took <= migratedWithin}, {fmt.Sprintf("%s tenants of %d documents", grouped(migratedTenants), migratedDocuments),
		"2 to 2.6 h", "≤ " + migratedWithin.String(), target.Round(time.Minute).String(), target <= migratedWithin}}
	for _, who := range []struct {
		name  string
		times func(others) []time.Duration
	}{{"checks", checksOf}, {"creations", creationsOf}} {
		for i, m := range []*massMove{memory, many} {
			place := [2]string{"in memory", "as many as the target, in memory"}[i]
			quiet, during := who.times(m.quiet), who.times(m.during)
			rows = append(rows, scaleRow{who.name + " meanwhile, p50, " + place, "", "as without, + 25 %", waited(50, quiet, during), !slower(quiet, during)})
		}
		again := who.times(emulator.again)
		during := who.times(emulator.during)
		rows = append(rows, scaleRow{who.name + " meanwhile, p50, emulator", "", "as beside the same calls without a worker, + 25 %",
			waited(50, again, during) + "; without either " + milliseconds(percentile(who.times(emulator.quiet), 50)), !slower(again, during)})
	}
	return rows
}

// slower reports whether half of what was waited for is more than a quarter longer.
func slower(before, after []time.Duration) bool {
	return percentile(after, 50) > percentile(before, 50)*5/4
}
