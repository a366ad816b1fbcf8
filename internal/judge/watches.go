package judge

import (
	"maps"
	"slices"
	"time"
)

// judgeWatches: what a watch certifies has been told on it.
func (v *Verdict) judgeWatches(h *History, t *truth, b Bounds) {
	asked, held := map[string]Record{}, map[string]map[int]bool{}
	for r := range h.of(ofWatches...) {
		w := asked[r.Name]
		switch r.Type {
		case Closed:
			delete(asked, r.Name)
			delete(held, r.Name)
		case Watch:
			asked[r.Name] = r
		case State:
			held[r.Name] = map[int]bool{}
			for i := range w.Owned {
				held[r.Name][i] = !slices.Contains(r.Indexes, i)
				v.state(t, b, w, r, i)
			}
		case Lost:
			for _, i := range r.Indexes {
				held[r.Name][i] = false
				v.Judged["losses told of a watch"]++
			}
		case Certified:
			v.Judged["certificates of watches"]++
			for i, yes := range held[r.Name] {
				if yes {
					v.certified(t, w, r, i)
				}
			}
		}
	}
}

// state judges the first event of a watch: a check of each, as old as one may be.
func (v *Verdict) state(t *truth, b Bounds, w, r Record, i int) {
	check := Record{Type: Check, Of: w.Of, Tenant: w.Owned[i].Tenant, Resource: w.Owned[i].Resource, At: w.At, Until: r.At, Status: noContent}
	if slices.Contains(r.Indexes, i) {
		check.Status = notFound
	}
	if v.gone(t, check, ms(b.MaxStaleness)) {
		return
	}
	if check.Status == notFound {
		v.no("no watch refuses what the tenant owns", t, check)
		return
	}
	v.yes("no watch begins with what the tenant has lost", t, check, w.At-ms(b.MaxStaleness))
}

func (v *Verdict) certified(t *truth, w, r Record, i int) {
	o := w.Owned[i]
	owners := t.owners(o.Resource, r.Since, r.At)
	if owners == nil {
		v.Judged["certificates not judged, too much being in doubt"]++
		return
	}
	v.Judged["ownerships certified"]++
	if e := t.erased[o.Tenant]; !owners[o.Tenant] || e != nil && r.Since > e.by {
		v.violation("what a watch certifies has been told on it",
			"%s, watch %s: at %s it certified all up to %s, and had not told that %s lost %s; the owners it may have had: %v",
			w.Of, r.Name, at(r.At), at(r.Since), o.Tenant, o.Resource, names(owners))
	}
}

func names(owners map[string]bool) []string { return slices.Sorted(maps.Keys(owners)) }

// at writes a time as people read it.
func at(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05.000000") }
