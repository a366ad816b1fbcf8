package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
)

// spill is a table of keys and values on disk, in two files without a name, which
// are gone with the process. Memory does not grow with it. It is for one goroutine.
//
// A log has all values that were put, one behind the other. An index says for each
// key where the last one is: it is a hash table of slots in the order of the hashes'
// first bits, half of them empty at least.
type spill struct {
	seed  maphash.Seed
	log   *os.File
	out   *bufio.Writer // to the end of log
	end   int64         // of what was put
	index *os.File
	bits  uint  // the index has 2^bits slots
	used  int64 // of them
}

const (
	slotSize  = 16 // a hash, whose last bit is 1, and an offset into the log; zeros if it is empty
	firstBits = 12
	together  = 64 // slots read at once
)

func newSpill() (*spill, error) {
	log, err := nameless()
	if err != nil {
		return nil, err
	}
	index, err := nameless()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &spill{seed: maphash.MakeSeed(), log: log, out: bufio.NewWriterSize(log, 256<<10), index: index, bits: firstBits}
	return s, nil
}

// nameless returns a file in the directory for temporary ones (TMPDIR).
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "registry-worker-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// put sets the value of a key.
func (s *spill) put(key, value []byte) error {
	hash := s.hash(key)
	slot, _, err := s.find(hash, key)
	if err != nil {
		return err
	}
	at := s.end
	record := binary.BigEndian.AppendUint32(nil, uint32(len(key)))
	record = binary.BigEndian.AppendUint32(record, uint32(len(value)))
	record = append(append(record, key...), value...)
	if _, err := s.out.Write(record); err != nil {
		return err
	}
	s.end += int64(len(record))
	fresh, err := s.point(s.index, slot, hash, at)
	if err != nil || !fresh {
		return err
	}
	if s.used++; s.used > 1<<s.bits/2 {
		return s.grow()
	}
	return nil
}

// get returns the value of a key; nil if there is none.
func (s *spill) get(key []byte) ([]byte, error) {
	_, value, err := s.find(s.hash(key), key)
	return value, err
}

// each calls visit for each key, in no particular order.
func (s *spill) each(visit func(key, value []byte) error) error {
	return s.slots(func(_ uint64, at int64) error {
		key, value, err := s.record(at)
		if err != nil {
			return err
		}
		return visit(key, value)
	})
}

func (s *spill) close() error { return errors.Join(s.log.Close(), s.index.Close()) }

func (s *spill) hash(key []byte) uint64 { return maphash.Bytes(s.seed, key) | 1 }

// find returns the slot of a key, or the one that it is to have, and its value, nil
// if it has none.
func (s *spill) find(hash uint64, key []byte) (slot int64, value []byte, err error) {
	err = s.walk(s.index, s.bits, hash, func(at int64, used uint64, offset int64) (bool, error) {
		slot = at
		if used != hash {
			return used == 0, nil
		}
		k, v, err := s.record(offset)
		if err != nil || !bytes.Equal(k, key) {
			return false, err
		}
		value = v
		return true, nil
	})
	return slot, value, err
}

// walk visits the slots from where a hash belongs on, until visit returns true.
func (s *spill) walk(index *os.File, bits uint, hash uint64, visit func(slot int64, used uint64, offset int64) (bool, error)) error {
	all := int64(1) << bits
	chunk := make([]byte, together*slotSize)
	for first := int64(hash >> (64 - bits)); ; first = (first + together) % all {
		n := min(together, all-first)
		if err := readAt(index, chunk[:n*slotSize], first*slotSize); err != nil {
			return err
		}
		for i := range n {
			used, offset := decodeSlot(chunk[i*slotSize:])
			if done, err := visit(first+i, used, offset); done || err != nil {
				return err
			}
		}
		if n < together {
			first = -together // on from the first one
		}
	}
}

// point writes a slot, and reports whether it was empty.
func (s *spill) point(index *os.File, slot int64, hash uint64, offset int64) (fresh bool, err error) {
	text := make([]byte, slotSize)
	if err := readAt(index, text, slot*slotSize); err != nil {
		return false, err
	}
	used, _ := decodeSlot(text)
	binary.BigEndian.PutUint64(text, hash)
	binary.BigEndian.PutUint64(text[8:], uint64(offset))
	_, err = index.WriteAt(text, slot*slotSize)
	return used == 0, err
}

// grow makes an index of twice as many slots.
func (s *spill) grow() error {
	index, err := nameless()
	if err != nil {
		return err
	}
	err = s.slots(func(hash uint64, offset int64) error {
		empty := int64(0)
		if err := s.walk(index, s.bits+1, hash, func(at int64, used uint64, _ int64) (bool, error) {
			empty = at
			return used == 0, nil
		}); err != nil {
			return err
		}
		_, err := s.point(index, empty, hash, offset)
		return err
	})
	if err != nil {
		return errors.Join(err, index.Close())
	}
	err = s.index.Close()
	s.index, s.bits = index, s.bits+1
	return err
}

// slots visits the slots that are used.
func (s *spill) slots(visit func(hash uint64, offset int64) error) error {
	chunk := make([]byte, 1<<firstBits*slotSize)
	for first := int64(0); first < slotSize<<s.bits; first += int64(len(chunk)) {
		if err := readAt(s.index, chunk, first); err != nil {
			return err
		}
		for slot := chunk; len(slot) > 0; slot = slot[slotSize:] {
			if hash, offset := decodeSlot(slot); hash != 0 {
				if err := visit(hash, offset); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func decodeSlot(text []byte) (hash uint64, offset int64) {
	return binary.BigEndian.Uint64(text), int64(binary.BigEndian.Uint64(text[8:]))
}

// record reads a key and a value from the log.
func (s *spill) record(at int64) (key, value []byte, err error) {
	if s.out.Buffered() > 0 && at >= s.end-int64(s.out.Buffered()) {
		if err := s.out.Flush(); err != nil {
			return nil, nil, err
		}
	}
	head := make([]byte, 8)
	if _, err := s.log.ReadAt(head, at); err != nil {
		return nil, nil, fmt.Errorf("read back: %w", err)
	}
	k, v := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	text := make([]byte, k+v)
	if _, err := s.log.ReadAt(text, at+8); err != nil {
		return nil, nil, fmt.Errorf("read back: %w", err)
	}
	return text[:k], text[k:], nil
}

// readAt reads zeros behind the end of the file.
func readAt(f *os.File, text []byte, at int64) error {
	n, err := f.ReadAt(text, at)
	if errors.Is(err, io.EOF) {
		clear(text[n:])
		return nil
	}
	return err
}
