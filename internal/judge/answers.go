package judge

// The statuses of answers (design §9).
const (
	created     = 201
	noContent   = 204
	notFound    = 404
	conflict    = 409
	limited     = 429
	unavailable = 503
	ok          = 200
)

// judgeAnswers: no yes from before MaxStaleness, and no refusal of what is known.
func (v *Verdict) judgeAnswers(h *History, t *truth, b Bounds) {
	for r := range h.of(Check, Claim) {
		switch {
		case r.Status == 0: // judgeBounds asks why
		case r.Type == Check && v.gone(t, r, ms(b.MaxStaleness)), r.Type == Claim && v.gone(t, r, 0):
		case r.Type == Check && r.Status == noContent:
			v.yes("no check is answered yes for longer than MaxStaleness after a loss", t, r, r.At-ms(b.MaxStaleness))
		case r.Type == Check && r.Status == notFound:
			v.no("no check is refused of what the tenant owns", t, r)
		case r.Type == Claim && r.Status == noContent:
			v.yes("a claim is answered 204 if the tenant owns the resource", t, r, r.At)
		case r.Type == Claim && r.Status == created:
			v.yes("a claim that is answered 201 is kept", t, r, r.At)
			if !t.claims[Ownership{r.Tenant, r.Resource}] && !t.deleted[r.Resource] {
				v.violation("a claim that is answered 201 is kept", "%s of %s is not in the archive", r.Resource, r.Tenant)
			}
		case r.Type == Claim && r.Status == conflict:
			v.no("a claim is answered 409 if the tenant does not own the resource", t, r)
		case r.Status != unavailable:
			v.violation("answers are as they are documented", "%s of %s by %s: status %d", r.Type, r.Resource, r.Tenant, r.Status)
		}
	}
}

// yes judges a yes, which may be from a time on.
func (v *Verdict) yes(rule string, t *truth, r Record, since int64) {
	owners := t.owners(r.Resource, since, r.until())
	if owners == nil {
		v.Judged["answers not judged, too much being in doubt"]++
		return
	}
	v.Judged["yes"]++
	if !owners[r.Tenant] {
		v.violation(rule, "%s told %s %d for %s at %s; the owners it may have had: %v", r.Of, r.Tenant, r.Status, r.Resource, at(r.At), names(owners))
	}
}

// no judges a refusal, which is never from memory.
func (v *Verdict) no(rule string, t *truth, r Record) {
	owners := t.owners(r.Resource, r.At, r.until())
	if owners == nil {
		v.Judged["answers not judged, too much being in doubt"]++
		return
	}
	v.Judged["no"]++
	if len(owners) == 1 && owners[r.Tenant] {
		v.violation(rule, "%s told %s %d for %s at %s; it was the tenant's", r.Of, r.Tenant, r.Status, r.Resource, at(r.At))
	}
}
