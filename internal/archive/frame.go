package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/envelope"
)

// An archive may be enclosed in two lines that say where it comes from and whether
// it is complete. They are CloudEvents, like the others, of these types, and mean
// nothing to the registry.
const (
	beganType = "registry.archive.began.v1"
	endedType = "registry.archive.ended.v1"
)

// Origin says where and when an archive was exported. It is its first line.
type Origin struct {
	Project  string    `json:"project"`
	Database string    `json:"database"`
	Prefix   string    `json:"collection_prefix,omitempty"`
	Emulator string    `json:"emulator,omitempty"` // host:port; "" for production
	Time     time.Time `json:"-"`                  // the event's
}

// ending is the last line: how many events there are between the two, and the
// SHA-256, in hexadecimal, of their lines and of the first one, each with "\n".
type ending struct {
	Events int    `json:"events"`
	SHA256 string `json:"sha256"`
}

type frameLine struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Data            any    `json:"data"`
}

// newFrameLine returns a line of a frame.
func newFrameLine(typ, name string, at time.Time, data any) ([]byte, error) {
	text := at.UTC().Format(time.RFC3339Nano)
	return json.Marshal(frameLine{"1.0", "archive/" + name + "/" + text, envelope.ArchiveSource, typ, text, "application/json", data})
}

// frame is where a reader of a file is: within an archive that has begun, or
// outside.
type frame struct {
	origin *Origin // nil outside
	began  int     // its line
	events int
	hash   hash.Hash
	told   bool // that lines belong to no archive
}

// line takes a line of a file, and reports whether it belongs to the frame. began
// is called when an archive begins, and with nil when lines begin that belong to
// none. The error says that an archive is not what was exported.
func (f *frame) line(number int, text []byte, began func(*Origin)) (own bool, err error) {
	if bytes.Contains(text, []byte("registry.archive.")) {
		switch typ, at, data := readFrameLine(text); typ {
		case beganType:
			return true, f.begin(number, at, data, text, began)
		case endedType:
			return true, f.end(data)
		}
	}
	if f.origin != nil {
		f.add(text)
		f.events++
	} else if !f.told {
		f.told = true
		began(nil)
	}
	return false, nil
}

func readFrameLine(text []byte) (typ string, at time.Time, data json.RawMessage) {
	var line struct {
		Source string          `json:"source"`
		Type   string          `json:"type"`
		Time   time.Time       `json:"time"`
		Data   json.RawMessage `json:"data"`
	}
	if json.Unmarshal(text, &line) != nil || line.Source != envelope.ArchiveSource {
		return "", time.Time{}, nil
	}
	return line.Type, line.Time, line.Data
}

func (f *frame) begin(number int, at time.Time, data json.RawMessage, text []byte, began func(*Origin)) error {
	if err := f.endOfFile(); err != nil {
		return fmt.Errorf("another archive begins: %w", err)
	}
	origin := &Origin{Time: at}
	if err := json.Unmarshal(data, origin); err != nil {
		return fmt.Errorf("the first line of an archive is not understood: %w", err)
	}
	*f = frame{origin: origin, began: number, hash: sha256.New()}
	f.add(text)
	began(origin)
	return nil
}

func (f *frame) add(text []byte) {
	f.hash.Write(text)
	f.hash.Write([]byte{'\n'})
}

func (f *frame) end(data json.RawMessage) error {
	if f.origin == nil {
		return fmt.Errorf("an archive ends that has not begun: its beginning was cut off")
	}
	var want ending
	if err := json.Unmarshal(data, &want); err != nil {
		return fmt.Errorf("the last line of an archive is not understood: %w", err)
	}
	got := ending{f.events, hex.EncodeToString(f.hash.Sum(nil))}
	*f = frame{}
	switch {
	case got.Events != want.Events:
		return fmt.Errorf("the archive was exported with %d events and has %d: it was cut, or changed", want.Events, got.Events)
	case got.SHA256 != want.SHA256:
		return fmt.Errorf("the archive is not what was exported: its %d events were changed", got.Events)
	}
	return nil
}

// endOfFile returns an error if an archive has begun and not ended.
func (f *frame) endOfFile() error {
	if f.origin == nil {
		return nil
	}
	return fmt.Errorf("the archive that begins on line %d has no end: it was cut", f.began)
}
