// Package config is the configuration of registry-worker: one table of settings
// (servicesettings.go, operatorsettings.go)  from which flags, environment
// variables, help, `config` and the checks all come.
//
// A value comes from the flag, else from the environment variable, else from the
// default. An environment variable that is empty counts as not set. Load reports
// all faults at once, each with the flag's name, the value, where the value came
// from and what is allowed.
package config

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/capacity"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
)

// Backend is where a registry or a throttle keeps its state.
type Backend string

// The backends.
const (
	Firestore Backend = "firestore"
	Memory    Backend = "memory" // of this process: lost with it, and invisible to others
)

// Values of --console.
const (
	ConsoleAuto = "auto" // on loopback
	ConsoleOn   = "on"
	ConsoleOff  = "off"
)

// Values of --state.
const (
	MovePending   = "pending" // their rewriting is queued, or runs
	MoveParked    = "parked"
	MoveDone      = "done"
	MoveRetracted = "retracted"
)

// Config is the effective configuration of one command. Settings that the command
// does not have are zero.
type Config struct {
	LogFormat string // auto, text, json or google
	LogLevel  slog.Level

	Project          string
	Database         string
	RegistryBackend  Backend
	CollectionPrefix string

	Subscriptions   []string
	DeadLetterTopic string
	LogTopic        string
	MaxClockSkew    time.Duration
	MaxEventAge     time.Duration // 0: unbounded
	DeletionHorizon time.Duration
	Accept          map[string][]events.Type
	Sources         map[events.Type][]string
	DrainTimeout    time.Duration
	Streams         int
	Lease           time.Duration
	MaxOutstanding  int

	Listen         string
	API            bool
	APITokens      []string
	ClaimTokens    []string
	APITokenFile   string
	ClaimTokenFile string
	MaxConnections int
	MetricsListen  string // empty: Listen
	MissGrace      time.Duration
	KeepAlive      time.Duration
	ShutdownDelay  time.Duration
	StreamPaths    streampath.Patterns

	Console      string   // ConsoleAuto, ConsoleOn or ConsoleOff
	ConsolePeers []string // base URLs

	MaxStaleness time.Duration // 0: always read
	MaxAge       time.Duration // 0: as the registry says; NoMaxAge: unbounded

	ThrottleBackend  Backend
	ThrottlePolicies string
	ThrottleOnError  string

	Rate       governor.Rate
	WithoutLog bool
	IntoEmpty  bool
	WithGap    bool
	Since      time.Time // zero: not given
	Checkpoint string
	Refused    string

	WithRetractions, WithAssertions bool // of archives

	// The selection of dead letters.
	LetterReasons                    []events.Reason
	LetterTypes, LetterSubscriptions []string
	LetterID                         string
	After, Before                    time.Time // zero: not given
	Limit                            int       // 0: not given
	MaxRedrives                      int
	Comment                          string // why, of an action on dead letters

	From, To   string // tenants
	Kind       string // of the resources that move; "": all
	Resources  string // file that names them
	MovedBy    string // the id of the move that brought them
	Plan       string // file
	MoveID     string
	Tenant     string
	State      string // MovePending, MoveParked, MoveDone, MoveRetracted; "": any
	Behind     int    // position in the ledger; 0: from the first
	Wait       bool
	At         time.Time // zero: now
	AtEnd      time.Time // the end of the day that At begins; zero: At is a moment
	Source, By string
	Reason     string

	DryRun    bool
	Check     bool
	Events    bool
	Finish    bool
	PlainSets string // over, go-on; "": neither was asked for
	Output    string
	Yes       bool
	Unknown   bool
	JSON      bool
	Empty     bool
	Licenses  bool

	ServiceRules bool
	RoundTrip    time.Duration // zero: no distance

	Capacity capacity.Parameters

	entries []Entry
}

// Entry is one setting as it takes effect.
type Entry struct {
	Name  string // of the flag, without dashes
	Env   string
	Value string // redacted if it is a secret
	From  string // "flag", "default", or the environment variable's name
}

// Entries returns the settings of the command, in the table's order.
func (c *Config) Entries() []Entry { return c.entries }

// Defaulted reports whether neither flag nor variable gave the setting a value.
func (c *Config) Defaulted(name string) bool { return c.entry(name).From == FromDefault }

// Input is the source of values.
type Input struct {
	// Flags holds the values of the flags that were given, by name.
	Flags map[string]string
	// LookupEnv looks an environment variable up, like os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// Port: if no setting says where to listen, PORT does, as platforms set it for
	// a service (https://cloud.google.com/run/docs/container-contract#port).
	Port bool
}

// Load reads the settings of the groups, and checks them and the rules. It returns
// the configuration even if there are faults, so that it can be shown; the error is
// then a Faults.
func Load(in Input, groups []Group, rules ...Rule) (*Config, error) {
	c := &Config{}
	var faults Faults
	for _, s := range In(groups) {
		value, from := in.find(s)
		entry := Entry{Name: s.Name, Env: s.Env, Value: s.shown(value), From: from}
		c.entries = append(c.entries, entry)
		err := s.parse(c, value)
		if value == "" && from == FromFlag && (s.FlagOnly || s.Filled) {
			err = errors.New("it is empty, as a variable of the shell that was not set: give it a value, or leave it out")
		}
		if err != nil {
			faults = append(faults, Fault{Entry: entry, Want: err.Error()})
		}
	}
	for _, rule := range rules {
		faults = append(faults, rule(c)...)
	}
	if len(faults) > 0 {
		return c, faults
	}
	return c, nil
}

func (in Input) find(s Setting) (value, from string) {
	if value, ok := in.Flags[s.Name]; ok {
		return value, FromFlag
	}
	if !s.FlagOnly {
		if value, ok := in.LookupEnv(s.Env); ok && value != "" {
			return value, s.Env
		}
	}
	if port, _ := in.LookupEnv(PortEnv); port != "" && in.Port && s.Name == "listen" {
		return net.JoinHostPort("", port), PortEnv
	}
	if host, _ := in.LookupEnv(PubSubEmulator); host != "" && s.OnEmulator != "" {
		return s.OnEmulator, FromDefault
	}
	return s.Default, FromDefault
}

// PubSubEmulator is the variable that names the emulator to Google's client.
const PubSubEmulator = "PUBSUB_EMULATOR_HOST"

// PortEnv is the variable with which Cloud Run and others say on which port, of all
// addresses, a service gets requests.
const PortEnv = "PORT"

// The source of a value that did not come from an environment variable.
const (
	FromFlag    = "flag"
	FromDefault = "default"
)

func (c *Config) entry(name string) Entry {
	i := slices.IndexFunc(c.entries, func(e Entry) bool { return e.Name == name })
	return c.entries[i]
}
