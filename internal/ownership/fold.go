package ownership

// A Step is one entry that the fold took account of, for explanations.
type Step struct {
	Entry
	Ledger    bool   // a move of a whole tenant, from the ledger
	Effective bool   // it changed the owner, or set it
	Owner     string // after this step
}

// Owner folds the history with the ledger (design §4): "" if the resource is not
// registered. It does not allocate.
func (h History) Owner(l *Ledger) string {
	f := newFold(h, l)
	for {
		if _, ok := f.next(); !ok {
			return f.owner
		}
	}
}

// Path returns every owner that the fold passes through, each once, in the
// order in which it was last owner: the last is the owner now. Adding or
// retracting a move of everything that A owns can change the owner only if A is
// on the path.
func (h History) Path(l *Ledger) []string {
	f := newFold(h, l)
	if f.owner == "" {
		return nil
	}
	path := []string{f.owner}
	for {
		step, ok := f.next()
		if !ok {
			return path
		}
		kept := path[:0]
		for _, owner := range path {
			if owner != step.Owner {
				kept = append(kept, owner)
			}
		}
		path = append(kept, step.Owner)
	}
}

// Explain returns the fold step by step, the base first. Moves of whole tenants
// that concern none of the owners are left out; the others are without what people
// said of them, which the ledger's entries have.
func (h History) Explain(l *Ledger) []Step {
	if len(h) == 0 {
		return nil
	}
	if h.Deleted() {
		return []Step{{Entry: h[0], Effective: true}}
	}
	f := newFold(h, l)
	base := h.base()
	var steps []Step
	if base.Type == Claimed || base.Type == Created {
		steps = append(steps, Step{Entry: base, Effective: true, Owner: f.owner})
	}
	for {
		step, ok := f.next()
		if !ok {
			return steps
		}
		steps = append(steps, step)
	}
}

// effective reports whether the entry, which the history holds, takes effect.
func (h History) effective(l *Ledger, e Entry) bool {
	f := newFold(h, l)
	for {
		step, ok := f.next()
		if !ok {
			return false
		}
		if !step.Ledger && step.Equal(e) {
			return step.Effective
		}
	}
}

// fold walks a history and the ledger in version order (rule 3). Of the ledger
// it visits only the moves that take effect.
type fold struct {
	rest   History // entries of the history to come
	ledger *Ledger
	owner  string

	// Ledger moves count from here: > at if after is set, else ≥ at.
	at    Version
	after bool
}

func newFold(h History, l *Ledger) fold {
	if len(h) == 0 || h.Deleted() {
		return fold{}
	}
	base := h.base()
	f := fold{rest: h, ledger: l, owner: base.Tenant, at: h.start(), after: true}
	if base.Type == Moved {
		f.owner = base.From
	}
	return f
}

func (f *fold) next() (Step, bool) {
	for len(f.rest) > 0 && (f.rest[0].Type == Claimed || f.rest[0].Type == Created) {
		f.rest = f.rest[1:] // the base: it logically comes first
	}
	move := f.ledger.next(f.owner, f.at, f.after)
	if move != nil && (len(f.rest) == 0 || move.version().Compare(f.rest[0].Version) < 0) {
		f.owner, f.at, f.after = move.toTenant(), move.version(), true
		return Step{Entry: move.asEntry(), Ledger: true, Effective: true, Owner: f.owner}, true
	}
	if len(f.rest) == 0 {
		return Step{}, false
	}
	e := f.rest[0]
	f.rest = f.rest[1:]
	effective := e.Type == Asserted || f.ledger.same(e.From, f.owner)
	switch {
	case e.Type == Asserted:
		f.owner = e.Tenant
	case effective:
		f.owner = e.To
	}
	if e.Version.Compare(f.at) > 0 {
		f.at, f.after = e.Version, false // the ledger's moves at this very version come after it
	}
	return Step{Entry: e, Effective: effective, Owner: f.owner}, true
}
