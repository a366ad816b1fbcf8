package config

import (
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// A Group is a set of settings that belong together. A command has whole groups.
type Group string

// The groups, in the order in which help shows them.
const (
	LogGroup      Group = "Log"
	ProjectGroup  Group = "Project"
	RegistryGroup Group = "Registry"
	PubSubGroup   Group = "Pub/Sub"
	ClaimsGroup   Group = "Log of claims"
	EventsGroup   Group = "Events"
	DeletionGroup Group = "Deletion"
	WorkerGroup   Group = "Worker"
	DrainGroup    Group = "Drain"
	APIGroup      Group = "HTTP"
	ConsoleGroup  Group = "Console"
	ThrottleGroup Group = "Throttle"
	RunGroup      Group = "Run"
	DryRunGroup   Group = "Dry run"
	ExportGroup   Group = "Export"
	RateGroup     Group = "Rate"
	ReplayGroup   Group = "Replay"
	VerifyGroup   Group = "Verification"
	ConfirmGroup  Group = "Confirmation"
	PlanGroup     Group = "Plan"
	MoveGroup     Group = "Move"
	RetractGroup  Group = "Retraction"
	UnknownGroup  Group = "Unknown tenant"
	ByGroup       Group = "Record"
	JSONGroup     Group = "Output"
	DevGroup      Group = "Dev"
	VersionGroup  Group = "Version"
	UpgradeGroup  Group = "Upgrade"
	LetterGroup   Group = "Dead letters"
	RedriveGroup  Group = "Redrive"
	CommentGroup  Group = "Comment"
	HistoryGroup  Group = "History"
	NamesGroup    Group = "Resources"
	StartGroup    Group = "Start"
	WaitGroup     Group = "Wait"
	ListGroup     Group = "List of moves"
	AtGroup       Group = "Time"
	CapacityGroup Group = "Capacity"
)

// Groups returns all groups.
func Groups() []Group { return slices.Clone(groups) }

// Lasting returns the groups whose settings a variable can give. Other settings
// belong to one call of one command, and another command may use their names
// differently.
func Lasting() []Group {
	return slices.DeleteFunc(Groups(), func(g Group) bool {
		return !slices.ContainsFunc(settings, func(s Setting) bool { return s.Group == g && !s.FlagOnly })
	})
}

var groups = []Group{
	ProjectGroup, RegistryGroup, PubSubGroup, ClaimsGroup, EventsGroup, DeletionGroup, RunGroup, WorkerGroup, DrainGroup, APIGroup, ConsoleGroup, ThrottleGroup,
	LetterGroup, RedriveGroup, CommentGroup, HistoryGroup, RateGroup, ReplayGroup, VerifyGroup, DryRunGroup, ExportGroup, UpgradeGroup, PlanGroup, NamesGroup, StartGroup, AtGroup, MoveGroup, ListGroup, WaitGroup, RetractGroup, UnknownGroup, ByGroup, ConfirmGroup, JSONGroup, DevGroup, CapacityGroup, VersionGroup, LogGroup,
}

// A Setting is a flag, and usually an environment variable too.
type Setting struct {
	Group   Group
	Also    Group  // another group that has it; "": none
	Name    string // of the flag, without dashes
	Env     string // "" if only the flag counts
	Default string
	// OnEmulator is the default if Pub/Sub is the emulator; empty: Default.
	OnEmulator string
	Help       string
	Bool       bool // the flag needs no value
	Secret     bool // never shown
	// FlagOnly: no variable sets it. The answer to a question is given with the
	// command that asks, and must not be left in a profile or a manifest.
	FlagOnly bool
	// Filled: the flag is given a value or left out. What it selects would be everything
	// without one, and an empty one is that of a shell's variable that was never set. So it
	// is with all that FlagOnly is true of.
	Filled bool

	// parse checks the value and keeps it in the configuration. Its error says
	// what is allowed.
	parse func(c *Config, value string) error
}

// shown returns the value as it may be shown.
func (s Setting) shown(value string) string {
	if s.Secret && value != "" {
		return redact.Redacted
	}
	return redact.Text(value)
}

// Settings returns the table of all settings, in order.
func Settings() []Setting { return slices.Clone(settings) }

// settings has names and defaults as in design §8. Env is only set here if it
// differs from EnvName of the name; complete fills in the others.
var settings = complete(slices.Concat(serviceSettings, operatorSettings, capacitySettings()))

// EnvName is the environment variable of a flag that has none of its own
// (design §8).
func EnvName(flag string) string {
	return "REGISTRY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// complete sets the Env of every setting whose variable follows the rule.
func complete(settings []Setting) []Setting {
	for i, s := range settings {
		if s.Env == "" && !s.FlagOnly {
			settings[i].Env = EnvName(s.Name)
		}
	}
	return settings
}

// In returns the settings of the groups, in the table's order.
func In(groups []Group) []Setting {
	return slices.DeleteFunc(Settings(), func(s Setting) bool {
		return !slices.Contains(groups, s.Group) && !slices.Contains(groups, s.Also)
	})
}

// Known reports whether any command has such a flag.
func Known(flag string) bool {
	return slices.ContainsFunc(settings, func(s Setting) bool { return s.Name == flag })
}
