package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/registry"
)

// A History is what files say that are judged together: records of a run, an archive
// (`export --events`) and an export of the same registry. Each may be missing.
type History struct {
	Archive []events.Event
	Export  map[registry.Resource]string // owners; nil if there is no export

	records records
}

// owner is a line of an export.
type owner struct {
	Kind     registry.Kind `json:"kind"`
	ID       string        `json:"id"`
	TenantID string        `json:"tenant_id"`
}

// Read reads files of lines (NDJSON, .gz too; "-" is stdin), each of which is a record,
// an event of an archive, or a line of an export. The error names the line that is none
// of these. A last line that was cut off, as a run leaves it that was killed, is an
// error too.
func Read(ctx context.Context, files []string, stdin io.Reader) (*History, error) {
	reader, err := archive.Open(files, stdin)
	if err != nil {
		return nil, err
	}
	h := &History{records: records{}}
	for line, err := range reader.Lines(ctx) {
		if err != nil {
			return nil, err
		}
		if line.Refusal != nil {
			err = line.Refusal
		} else {
			err = h.add(line.Text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", line.File, line.Number, err)
		}
	}
	return h, h.records.close()
}

func (h *History) add(text []byte) error {
	var is struct {
		SpecVersion *string        `json:"specversion"`
		Type        *string        `json:"type"`
		Kind        *registry.Kind `json:"kind"`
	}
	if err := json.Unmarshal(text, &is); err != nil {
		return err
	}
	switch {
	case is.SpecVersion != nil:
		e, err := archived.Decode(text, farFuture)
		if err == nil {
			h.Archive = append(h.Archive, e)
		}
		return err
	case is.Type != nil:
		var r Record
		if err := strictly(text, &r); err != nil {
			return err
		}
		return h.records.add(r.Type, text)
	case is.Kind != nil:
		return h.addOwner(text)
	}
	return errors.New("this is neither a record of a history, nor an event of an archive, nor a line of an export")
}

func (h *History) addOwner(text []byte) error {
	var o owner
	if err := strictly(text, &o); err != nil {
		return err
	}
	r := registry.Resource{Kind: o.Kind, ID: o.ID}
	if err := errors.Join(r.Validate(), registry.ValidateTenant(o.TenantID)); err != nil {
		return err
	}
	if h.Export == nil {
		h.Export = map[registry.Resource]string{}
	}
	if _, twice := h.Export[r]; twice {
		return fmt.Errorf("%s is in the export twice", r)
	}
	h.Export[r] = o.TenantID
	return nil
}

func strictly(text []byte, value any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(value)
}

// run returns the run's record, and whether there is one.
func (h *History) run() (Record, bool) {
	for r := range h.of(Run) {
		if r.Bounds != nil {
			return r, true
		}
	}
	return Record{}, false
}
