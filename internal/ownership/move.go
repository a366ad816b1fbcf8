package ownership

import (
	"cmp"
	"strings"
	"time"
	"unique"
)

// Move is an entry of the ledger as folds know it: without what people said of it,
// and without its job. A million of them are kept in each process.
type Move struct {
	Version
	From, To       string // none of a RetractionOnly, nor a time
	Position       int64  // ledger position of the last change to the entry
	Retracted      bool
	RetractionOnly bool
}

// Counts reports whether folds take account of the move.
func (m Move) Counts() bool { return !m.Retracted && !m.RetractionOnly }

// Move returns what folds know of an entry that is understood.
func (e LedgerEntry) Move() Move {
	return Move{e.Version, e.From, e.To, e.Position, e.Retracted(), e.RetractionOnly}
}

// moves is what folds know of entries. Those that are not understood are left
// out.
func moves(entries []LedgerEntry) []Move {
	all := make([]Move, 0, len(entries))
	for _, e := range entries {
		if e.Unread == nil {
			all = append(all, e.Move())
		}
	}
	return all
}

// packedMove is a Move in 48 bytes and its texts. It never changes.
type packedMove struct {
	source   unique.Handle[string] // few programs move tenants
	seconds  int64                 // of the time, since 1970
	position int64
	texts    string // from, to, id
	nanos    int32  // of the time, within the second
	from, to uint8  // lengths of the first two texts: a tenant has at most 128 bytes
	state    moveState
}

type moveState uint8

const (
	retracted moveState = 1 << iota
	retractionOnly
	lowest // has no name, and sorts before all that have one
)

// packedTogether is how many moves share an allocation.
const packedTogether = 64

// pack packs moves. Their texts are copied: what they were read with can go.
func pack(all []Move) []*packedMove {
	packed := make([]*packedMove, len(all))
	for first := 0; first < len(all); first += packedTogether {
		together := all[first:min(first+packedTogether, len(all))]
		size := 0
		for _, m := range together {
			size += len(m.From) + len(m.To) + len(m.ID)
		}
		var texts strings.Builder
		texts.Grow(size)
		for _, m := range together {
			texts.WriteString(m.From)
			texts.WriteString(m.To)
			texts.WriteString(m.ID)
		}
		rest, moves := texts.String(), make([]packedMove, len(together))
		for i, m := range together {
			n := len(m.From) + len(m.To) + len(m.ID)
			moves[i] = m.packed(rest[:n])
			packed[first+i], rest = &moves[i], rest[n:]
		}
	}
	return packed
}

func (m Move) packed(texts string) packedMove {
	p := packedMove{
		source: unique.Make(m.Source), seconds: m.Time.Unix(), nanos: int32(m.Time.Nanosecond()), position: m.Position,
		texts: texts, from: uint8(len(m.From)), to: uint8(len(m.To)),
	}
	if m.Retracted {
		p.state |= retracted
	}
	if m.RetractionOnly {
		p.state |= retractionOnly
	}
	return p
}

// unpacked is the move. It does not allocate.
func (p *packedMove) unpacked() Move {
	return Move{p.version(), p.fromTenant(), p.toTenant(), p.position, p.state&retracted != 0, p.state&retractionOnly != 0}
}

func (p *packedMove) counts() bool       { return p.state == 0 }
func (p *packedMove) fromTenant() string { return p.texts[:p.from] }
func (p *packedMove) toTenant() string   { return p.texts[p.from:][:p.to] }
func (p *packedMove) id() string         { return p.texts[int(p.from)+int(p.to):] }

func (p *packedMove) time() time.Time { return time.Unix(p.seconds, int64(p.nanos)).UTC() }

func (p *packedMove) version() Version { return Version{p.time(), p.source.Value(), p.id()} }

func (p *packedMove) asEntry() Entry {
	return Entry{Type: Moved, Version: p.version(), From: p.fromTenant(), To: p.toTenant()}
}

func byName(a, b *packedMove) bool { return compareNames(a, b) < 0 }

func compareNames(a, b *packedMove) int {
	if (a.state|b.state)&lowest != 0 {
		return cmp.Compare(b.state&lowest, a.state&lowest)
	}
	return cmp.Or(compareSources(a, b), strings.Compare(a.id(), b.id()))
}

func compareSources(a, b *packedMove) int {
	if a.source == b.source {
		return 0
	}
	return strings.Compare(a.source.Value(), b.source.Value())
}

func byPosition(a, b *packedMove) bool {
	if a.position != b.position {
		return a.position < b.position
	}
	return byName(a, b)
}

// byFrom sorts by the tenant that a move is away from, then by version.
func byFrom(a, b *packedMove) bool { return compareFrom(a, b) < 0 }

func compareFrom(a, b *packedMove) int {
	order := cmp.Or(strings.Compare(a.fromTenant(), b.fromTenant()), cmp.Compare(a.seconds, b.seconds), cmp.Compare(a.nanos, b.nanos))
	if order != 0 {
		return order
	}
	return compareNames(a, b)
}
