package judge

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"iter"
	"slices"
)

// records are the records of a history, by type, each type packed as text. Most of them
// are answers, of which the rules look at one after the other, so that an hour of them
// takes some ten megabytes, where it would take half a gigabyte unpacked.
type records map[Type]*packed

// packed is records of a type, a line each.
type packed struct {
	text bytes.Buffer
	pack *flate.Writer
}

// ofWatches are types whose records are of use only in the order in which they came:
// they are packed together.
var ofWatches = []Type{Watch, State, Certified, Lost, Closed}

func packedAs(t Type) Type {
	if slices.Contains(ofWatches, t) {
		return Watch
	}
	return t
}

func (all records) add(t Type, line []byte) error {
	p := all[packedAs(t)]
	if p == nil {
		p = &packed{}
		var err error
		if p.pack, err = flate.NewWriter(&p.text, flate.BestSpeed); err != nil {
			return err
		}
		all[packedAs(t)] = p
	}
	if _, err := p.pack.Write(line); err != nil {
		return err
	}
	_, err := p.pack.Write([]byte{'\n'})
	return err
}

func (all records) close() error {
	for _, p := range all {
		if err := p.pack.Close(); err != nil {
			return err
		}
		p.pack = nil
	}
	return nil
}

// of returns the records of some types, one type after the other, and those of a watch
// in the order in which they came.
func (h *History) of(types ...Type) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		seen := map[Type]bool{}
		for _, t := range types {
			p := h.records[packedAs(t)]
			if p == nil || seen[packedAs(t)] {
				continue
			}
			seen[packedAs(t)] = true
			for lines := json.NewDecoder(flate.NewReader(bytes.NewReader(p.text.Bytes()))); ; {
				var r Record
				if err := lines.Decode(&r); err == io.EOF {
					break
				} else if err != nil {
					panic(err) // it was read, and packed, by this process
				}
				if slices.Contains(types, r.Type) && !yield(r) {
					return
				}
			}
		}
	}
}

// has reports whether there are records of a type.
func (h *History) has(t Type) bool {
	for range h.of(t) {
		return true
	}
	return false
}

// all returns the records of some types at once.
func (h *History) all(types ...Type) []Record { return slices.Collect(h.of(types...)) }
