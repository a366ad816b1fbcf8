package replay

import (
	"encoding/json"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// state is what a dry run knows of a resource that the archive names.
type state struct {
	Was       string            // the owner before, "" for none
	History   ownership.History // as it would be
	Displaced []ownership.Entry // as they would be
	unread    error             // why the resource is not understood; then there is nothing else
}

func (s *state) record() ownership.Record {
	return ownership.Record{History: s.History, Displaced: s.Displaced, Unread: s.unread}
}

// weight is about how many bytes it takes in memory.
func (s *state) weight() int {
	const each, entry = 300, 160
	n := each
	for _, entries := range [][]ownership.Entry{s.History, s.Displaced} {
		for _, e := range entries {
			n += entry + len(e.Source) + len(e.ID) + len(e.Tenant) + len(e.From) + len(e.To) + len(e.Reason) + len(e.Actor)
		}
	}
	return n
}

// mostInMemory bounds, in bytes, the states that a dry run holds in memory: those
// of the resources that were named last. It knows the others by a spill, which takes
// some 350 bytes of disk for a resource, each time that it is put aside.
const mostInMemory = 16 << 20

// states are those of all resources that the archive has named.
type states struct {
	most   int // in memory, before they are put aside
	memory map[registry.Resource]*state
	weight int
	spill  *spill // nil as long as all are in memory
}

func newStates(most int) *states {
	return &states{most: most, memory: map[registry.Resource]*state{}}
}

// get returns what is known of a resource; nil if the archive has not named it.
func (s *states) get(r registry.Resource) (*state, error) {
	if known := s.memory[r]; known != nil || s.spill == nil {
		return known, nil
	}
	text, err := s.spill.get([]byte(r.DocumentID()))
	if text == nil || err != nil {
		return nil, err
	}
	var known state
	if err := json.Unmarshal(text, &known); err != nil {
		return nil, err
	}
	s.put(r, known)
	return s.memory[r], nil
}

// put sets what is known of a resource.
func (s *states) put(r registry.Resource, known state) {
	if before := s.memory[r]; before != nil {
		s.weight -= before.weight()
	}
	s.memory[r] = &known
	s.weight += known.weight()
}

// trim puts all aside if they take too much memory. What is not understood is
// forgotten: it is read again.
func (s *states) trim() (err error) {
	if s.weight <= s.most {
		return nil
	}
	if s.spill == nil {
		if s.spill, err = newSpill(); err != nil {
			return err
		}
	}
	for r, known := range s.memory {
		if known.unread != nil {
			continue
		}
		text, err := json.Marshal(known)
		if err != nil {
			return err
		}
		if err := s.spill.put([]byte(r.DocumentID()), text); err != nil {
			return err
		}
	}
	clear(s.memory)
	s.weight = 0
	return nil
}

// each visits all states, in no particular order.
func (s *states) each(visit func(registry.Resource, *state)) error {
	for r, known := range s.memory {
		visit(r, known)
	}
	if s.spill == nil {
		return nil
	}
	return s.spill.each(func(key, text []byte) error {
		r, err := registry.ParseDocumentID(string(key))
		if err != nil || s.memory[r] != nil {
			return err
		}
		var known state
		if err := json.Unmarshal(text, &known); err != nil {
			return err
		}
		visit(r, &known)
		return nil
	})
}

func (s *states) close() error {
	if s.spill == nil {
		return nil
	}
	return s.spill.close()
}
