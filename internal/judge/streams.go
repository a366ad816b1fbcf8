package judge

// What the guard of a stream says as it ends it (docs/verifier.md).
const ownershipLost = "ownership_lost"

// judgeStreams: a guarded stream goes on for no longer than its bound after a loss, and
// is not ended as lost while its tenant has the resource.
//
// A message is recorded with a time before the guard let it pass, so one that was held
// up behind the guard does not count against it.
func (v *Verdict) judgeStreams(h *History, t *truth, b Bounds) {
	asked := map[string]Record{}
	for r := range h.of(Stream, Message, StreamEnded) {
		s := asked[r.Name]
		switch r.Type {
		case Stream:
			asked[r.Name] = r
			v.admitted(t, r, b)
		case Message:
			v.Judged["messages of guarded streams"]++
			old := ms(b.Guard)
			yes := Record{Of: s.Of, Tenant: s.Tenant, Resource: s.Resource, At: r.At, Until: r.At, Status: ok}
			v.yes("no guarded stream goes on for longer than its bound after a loss", t, yes, max(0, r.At-old))
			if e := t.erased[s.Tenant]; e != nil && r.At-old > e.by {
				v.violation("an erased tenant owns nothing", "%s, stream %s: %s got a message of %s at %s; it was erased by %s", s.Of, r.Name, s.Tenant, s.Resource, at(r.At), at(e.by))
			}
		case StreamEnded:
			if r.Reason == ownershipLost {
				v.Judged["guarded streams that ended with a loss"]++
				lost := Record{Of: s.Of, Tenant: s.Tenant, Resource: s.Resource, At: s.At, Until: r.At, Status: notFound}
				if !v.gone(t, lost, 0) {
					v.no("no guarded stream is ended as lost that is the tenant's", t, lost)
				}
			}
		}
	}
}

// admitted judges the connect.
func (v *Verdict) admitted(t *truth, r Record, b Bounds) {
	r.Type = Check
	switch r.Status {
	case ok: // it may have been told by the stream that nothing is known: its messages are judged
	case notFound:
		if !v.gone(t, r, ms(b.MaxStaleness)) {
			v.no("no stream is refused of what the tenant owns", t, r)
		}
	case 0, unavailable:
	default:
		v.violation("answers are as they are documented", "%s: a stream of %s by %s: status %d", r.Of, r.Resource, r.Tenant, r.Status)
	}
}
