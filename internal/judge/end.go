package judge

import (
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/reference"
	"github.com/northstar-engines/realtime-registry/registry"
)

// judgeArchive: the export says what the fold of the archive says.
func (v *Verdict) judgeArchive(h *History) {
	var fold reference.Registry
	for _, e := range h.Archive {
		fold.Add(handlers.Changes(e)...)
	}
	v.compare("the export is the fold of the archive", fold.Owners(), h.Export)
}

// judgeEnd: the export says what the fold of all that was published, claimed and
// retracted says.
func (v *Verdict) judgeEnd(h *History, t *truth) {
	if h.Export == nil {
		v.violation("the history is whole", "it has no export")
		return
	}
	if h.has(Claim) && h.Archive == nil {
		v.violation("the history is whole", "it has no archive")
		return
	}
	doubted := map[string]bool{}
	for p := range h.of(Published) {
		if p.Until == 0 {
			t.doubt(p.Name, doubted)
		}
	}
	for l := range h.of(Letter) {
		if l.Reason == string(events.HistoryFull) {
			t.doubt(l.Name, doubted)
		}
	}
	got := map[registry.Resource]string{}
	for r, owner := range h.Export {
		if !doubted[r.String()] {
			got[r] = owner
		}
	}
	v.compare("the export is the fold of what was asked", t.end(doubted), got)
}

// doubt adds the resources that an event names.
func (t *truth) doubt(name string, doubted map[string]bool) {
	if e, ok := t.published[name]; ok {
		for _, c := range handlers.Changes(e) {
			doubted[c.Resource.String()] = true
		}
	}
}

// compare compares owners. One that is "" is that of a resource that was deleted.
func (v *Verdict) compare(rule string, want, got map[registry.Resource]string) {
	for r, owner := range want {
		v.Judged["owners in the end: "+rule]++
		switch found, ok := got[r]; {
		case owner == "" && ok:
			v.violation(rule, "%s was deleted, and is %s's in the export", r, found)
		case owner == "":
			v.Judged["resources that stayed deleted"]++
		case !ok:
			v.violation(rule, "%s is %s's, and is not in the export", r, owner)
		case found != owner:
			v.violation(rule, "%s is %s's, and %s's in the export", r, owner, found)
		}
	}
	for r, owner := range got {
		if _, ok := want[r]; !ok {
			v.violation(rule, "%s is %s's in the export, and there is no event of it", r, owner)
		}
	}
}
