//go:build proofs

package robustness

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// watchEvent has what any event of a watch has (design §9).
type watchEvent struct {
	Refused   []int `json:"refused"`
	Resources []int `json:"resources"`
	AtMS      int64 `json:"at_ms"`
	AgeMS     int64 `json:"age_ms"`
}

// follow records the events of a watch, of which the request was sent at a time, until
// it ends.
func (c *client) follow(name string, sent int64, body io.Reader) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			event = value
		case "data":
			var e watchEvent
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				c.x.t.Errorf("watch %s: event %s: %v", name, event, err)
				return
			}
			r := judge.Record{At: now(), Name: name}
			switch event {
			case "state":
				r.Type, r.Indexes = judge.State, e.Refused
			case "lost":
				r.Type, r.Indexes = judge.Lost, e.Resources
			case "certified":
				r.Type, r.Since = judge.Certified, sent+(e.AtMS-e.AgeMS)*int64(time.Millisecond)
			default:
				continue
			}
			c.x.history.record(r)
		}
	}
}
