package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Origin says of what the files are an export. One that is interrupted is resumed
// by the same alone.
type Origin struct {
	Project  string `json:"project"`
	Database string `json:"database"`
	Prefix   string `json:"collection_prefix,omitempty"`
	Emulator string `json:"emulator,omitempty"`
	What     string `json:"what"` // owners, differences or events
}

// manifest is what a directory of parts says of itself.
type manifest struct {
	Origin   Origin    `json:"origin"`
	ReadTime time.Time `json:"read_time"` // zero if each range has a time of its own
	Parts    []*part   `json:"parts"`     // in the order of names
	Next     int       `json:"next"`      // the number of the next part's file
}

// part is a range of names: behind After, up to UpTo ("" to the end). What it
// says of its file was in the file when the manifest was written.
type part struct {
	Number    int    `json:"number"`
	After     string `json:"after"`
	UpTo      string `json:"up_to"`
	Position  string `json:"position"` // the last document that is in the file
	Bytes     int64  `json:"bytes"`
	Documents int64  `json:"documents"`
	LeftOut   int64  `json:"left_out"`
	Unread    int64  `json:"unread"`
	Done      bool   `json:"done"`

	running bool
	now     string // the last document that was read
	read    int    // documents since it was cut
	cut     int    // when that was, as a number that grows
}

const manifestName = "manifest.json"

// ErrOther says that a directory holds parts of something else.
var ErrOther = errors.New("parts of another export")

// load returns the directory's manifest, or a new one for an empty directory.
func load(dir string, origin Origin) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return &manifest{Origin: origin, Parts: []*part{{}}, Next: 1}, nil
	}
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: remove the directory and export again", filepath.Join(dir, manifestName), err)
	}
	if m.Origin != origin {
		return nil, fmt.Errorf("%w: %s is of %+v, and this is %+v: remove the directory, or name another output", ErrOther, dir, m.Origin, origin)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: remove the directory and export again", filepath.Join(dir, manifestName), err)
	}
	for _, p := range m.Parts {
		p.now = p.Position
	}
	return &m, nil
}

// check returns why these cannot be the parts of an export. Between two of them, and
// behind the last one, names may be missing: those that no document has.
func (m *manifest) check() error {
	if len(m.Parts) == 0 {
		return errors.New("it has no parts")
	}
	upTo, files := "", map[int]bool{}
	for i, p := range m.Parts {
		switch {
		case p == nil:
			return fmt.Errorf("part %d is null", i)
		case p.Number < 0 || p.Number >= m.Next || files[p.Number]:
			return fmt.Errorf("part %d has the file of another part", i)
		case (i == 0) != (p.After == "") || i > 0 && upTo == "" || p.After < upTo:
			return fmt.Errorf("part %d does not begin behind the one before it", i)
		case p.UpTo != "" && p.UpTo <= p.After || p.Position < p.After || p.UpTo != "" && p.Position > p.UpTo:
			return fmt.Errorf("part %d ends, or stands, outside of its range", i)
		case p.Bytes < 0 || p.Documents < 0 || (p.Position > p.After) != (p.Documents > 0) || p.Documents == 0 && p.Bytes > 0:
			return fmt.Errorf("part %d stands where it cannot have come", i)
		}
		upTo, files[p.Number] = p.UpTo, true
	}
	return nil
}

// save replaces the manifest at once.
func (m *manifest) save(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, manifestName)
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (p *part) file(dir string) string { return filepath.Join(dir, strconv.Itoa(p.Number)+".part") }

// trim cuts off what the part's file has beyond what the manifest says.
func (p *part) trim(dir string) error {
	info, err := os.Stat(p.file(dir))
	if err != nil {
		return err
	}
	if info.Size() < p.Bytes {
		return fmt.Errorf("%s has %d bytes, and the manifest says %d: remove the directory and export again", p.file(dir), info.Size(), p.Bytes)
	}
	return os.Truncate(p.file(dir), p.Bytes)
}
