package judge

import (
	"encoding/json"
	"time"
)

// Type is the type of a record.
type Type string

// The types of records. Times are in nanoseconds since 1970, by the clock of the
// machine that recorded them. Unless it says otherwise, a record is about a request:
// At is before it was sent, and Until after its answer had arrived, 0 if none came.
const (
	Run          Type = "run"          // the first: Seed, Bounds, Must
	Published    Type = "published"    // Name, Topic, and Event, or Attributes and Data; Want if it must be refused; Status 200 once Pub/Sub has confirmed it
	Acknowledged Type = "acknowledged" // Pub/Sub got the worker's acknowledgement of the message Name at At
	Letter       Type = "letter"       // a dead letter of the message Name was read at At: Reason, Detail
	Claim        Type = "claim"        // Tenant, Resource, Status
	Check        Type = "check"        // Tenant, Resource, Status
	Take         Type = "take"         // Tenant, Action, N, Status
	Window       Type = "window"       // a window of Tenant and Action began at At and ends at Until, by the store's clock, with N units
	Watch        Type = "watch"        // a watch Name of Owned was asked for at At
	State        Type = "state"        // its first event came at At: Indexes are refused
	Certified    Type = "certified"    // at At it said that all changes up to Since had been told
	Lost         Type = "lost"         // at At it said that Indexes are lost
	Closed       Type = "closed"       // it ended at At
	Operator     Type = "operator"     // a command: Command, Status is its exit code; Source and ID of the move that it made or retracted
	Health       Type = "health"       // Path of a process, Status
	Fault        Type = "fault"        // a trouble of Kind befell Of from At until Until
	Process      Type = "process"      // the process Of became Kind at At: started, ready, stopping, ended (Status is its exit code)
	Calm         Type = "calm"         // there is no trouble after At
	Settled      Type = "settled"      // at At no message was left
	Sample       Type = "sample"       // what the process Of used at At, Kind is "before" or "after" the trouble: Goroutines, Descriptors, Bytes
	Logged       Type = "logged"       // Event was read from the registry's log at At
	Stream       Type = "stream"       // a stream Name of Tenant and Resource was asked of a transport Of that guards its streams: Status
	Message      Type = "message"      // at At, or later, the guard let a message of the stream Name pass
	StreamEnded  Type = "stream ended" // the stream Name ended at At, Reason if the guard gave one
	Probe        Type = "probe"        // a bare request, of nothing that is judged, took from At until Until
	Named        Type = "named"        // in the end the document Resource names Tenant, which was erased
	Displaced    Type = "displaced"    // inspect shows Source and ID among what Resource had displaced
)

// A Record is a line of a history that is neither an event of an archive nor a line
// of an export.
type Record struct {
	Type  Type  `json:"type"`
	At    int64 `json:"at"`
	Until int64 `json:"until,omitempty"`

	Name     string `json:"name,omitempty"`
	By       string `json:"by,omitempty"` // the client
	Of       string `json:"of,omitempty"` // the process
	Kind     string `json:"kind,omitempty"`
	Tenant   string `json:"tenant_id,omitempty"`
	Resource string `json:"resource,omitempty"` // such as "thread/th_1"
	Action   string `json:"action,omitempty"`
	Path     string `json:"path,omitempty"`
	N        int64  `json:"n,omitempty"`
	Status   int    `json:"status,omitempty"` // of HTTP, or an exit code; 0 if no answer came

	Topic      string            `json:"topic,omitempty"`
	Event      json.RawMessage   `json:"event,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Data       []byte            `json:"data,omitempty"`
	Want       string            `json:"want,omitempty"` // the reason with which it must be refused
	Reason     string            `json:"reason,omitempty"`
	Detail     string            `json:"detail,omitempty"`

	Owned   []Ownership `json:"owned,omitempty"`
	Indexes []int       `json:"indexes,omitempty"`
	Since   int64       `json:"since,omitempty"`

	Command []string `json:"command,omitempty"`
	Source  string   `json:"source,omitempty"`
	ID      string   `json:"id,omitempty"`

	Goroutines  int64 `json:"goroutines,omitempty"`
	Descriptors int64 `json:"descriptors,omitempty"`
	Bytes       int64 `json:"bytes,omitempty"`

	Seed   uint64   `json:"seed,omitempty"`
	Bounds *Bounds  `json:"bounds,omitempty"`
	Must   []string `json:"must,omitempty"` // kinds of faults without which a run proves little
}

// Ownership is a question: does the tenant own the resource?
type Ownership struct {
	Tenant   string `json:"tenant_id"`
	Resource string `json:"resource"`
}

// Bounds are what the run's processes promise, in milliseconds.
type Bounds struct {
	MaxStaleness int64 `json:"max_staleness_ms"` // --max-staleness of every serve
	Answer       int64 `json:"answer_ms"`        // within which any request is answered by a process that runs
	Settle       int64 `json:"settle_ms"`        // within which the backlog is gone after the trouble
	Notice       int64 `json:"notice_ms"`        // within which /readyz of a worker must see a loss, and see it end
	Guard        int64 `json:"guard_ms"`         // for which a guarded stream may go on after a loss
}

func ms(n int64) int64 { return n * int64(time.Millisecond) }

// never is the time of what has not happened.
const never = int64(1) << 62

// until returns when a request was answered; never, if it was not.
func (r Record) until() int64 {
	if r.Until == 0 {
		return never
	}
	return r.Until
}
