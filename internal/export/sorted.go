package export

import (
	"bufio"
	"cmp"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// mostHeld is how many bytes of lines Sorted holds in memory, about.
const mostHeld = 16 << 20

// Sorted puts lines in the order of versions. It holds some in memory, and the
// others in files without a name, which are gone with the process. It is for one
// goroutine.
type Sorted struct {
	most  int // bytes in memory; 0: mostHeld
	held  []versioned
	bytes int
	runs  []*os.File // each in order
}

type versioned struct {
	Version ownership.Version
	Lines   []byte
}

func byVersion(a, b versioned) int { return a.Version.Compare(b.Version) }

// Add takes the lines of a version. Those of one version stay in the order in which
// they come.
func (s *Sorted) Add(v ownership.Version, lines []byte) error {
	const each = 120 // beside the lines
	s.held = append(s.held, versioned{v, lines})
	if s.bytes += each + len(v.Source) + len(v.ID) + len(lines); s.bytes < cmp.Or(s.most, mostHeld) {
		return nil
	}
	return s.putAside()
}

// putAside writes what is held to a file.
func (s *Sorted) putAside() (err error) {
	file, err := os.CreateTemp("", "registry-worker-*") // in TMPDIR
	if err != nil {
		return err
	}
	s.runs = append(s.runs, file)
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	slices.SortStableFunc(s.held, byVersion)
	buffer := bufio.NewWriterSize(file, 256<<10)
	encoder := gob.NewEncoder(buffer)
	for _, v := range s.held {
		if err := encoder.Encode(v); err != nil {
			return err
		}
	}
	s.held, s.bytes = nil, 0
	return buffer.Flush()
}

// WriteTo writes all lines, in order. Nothing may be added any more.
func (s *Sorted) WriteTo(w io.Writer) (written int64, err error) {
	slices.SortStableFunc(s.held, byVersion)
	var runs []*sortedRun
	for _, file := range s.runs {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		decoder := gob.NewDecoder(bufio.NewReaderSize(file, 64<<10))
		runs = append(runs, &sortedRun{more: func(v *versioned) error { return decoder.Decode(v) }})
	}
	runs = append(runs, &sortedRun{more: func(v *versioned) error {
		if len(s.held) == 0 {
			return io.EOF
		}
		*v, s.held = s.held[0], s.held[1:]
		return nil
	}})
	for _, r := range runs {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	for {
		var least *sortedRun // of equal ones the first
		for _, r := range runs {
			if !r.over && (least == nil || byVersion(r.next, least.next) < 0) {
				least = r
			}
		}
		if least == nil {
			return written, nil
		}
		n, err := w.Write(least.next.Lines)
		written += int64(n)
		if err = errors.Join(err, least.advance()); err != nil {
			return written, err
		}
	}
}

// Close gives back what is held.
func (s *Sorted) Close() (err error) {
	for _, file := range s.runs {
		err = errors.Join(err, file.Close())
	}
	s.held, s.runs = nil, nil
	return err
}

// sortedRun is lines in order.
type sortedRun struct {
	more func(*versioned) error // io.EOF at the end
	next versioned
	over bool
}

func (r *sortedRun) advance() error {
	r.next = versioned{}
	err := r.more(&r.next)
	if errors.Is(err, io.EOF) {
		r.over = true
		return nil
	}
	return err
}
