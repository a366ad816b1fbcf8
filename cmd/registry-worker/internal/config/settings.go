package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/redact"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// A Group is a set of settings that belong together. A command has whole groups.
type Group string

// The groups, in the order in which help shows them.
const (
	LogGroup      Group = "Log"
	ProjectGroup  Group = "Project"
	RegistryGroup Group = "Registry"
	PubSubGroup   Group = "Pub/Sub"
	EventsGroup   Group = "Events"
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
	ConfirmGroup  Group = "Confirmation"
	PlanGroup     Group = "Plan"
	MoveGroup     Group = "Move"
	RetractGroup  Group = "Retraction"
	ByGroup       Group = "Record"
	JSONGroup     Group = "Output"
	DevGroup      Group = "Dev"
	VersionGroup  Group = "Version"
	UpgradeGroup  Group = "Upgrade"
	LetterGroup   Group = "Dead letters"
	RedriveGroup  Group = "Redrive"
	NamesGroup    Group = "Resources"
	StartGroup    Group = "Start"
	WaitGroup     Group = "Wait"
	ListGroup     Group = "List of moves"
	AtGroup       Group = "Time"
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
	ProjectGroup, RegistryGroup, PubSubGroup, EventsGroup, RunGroup, WorkerGroup, DrainGroup, APIGroup, ConsoleGroup, ThrottleGroup,
	LetterGroup, RedriveGroup, RateGroup, ReplayGroup, DryRunGroup, ExportGroup, UpgradeGroup, PlanGroup, NamesGroup, StartGroup, AtGroup, MoveGroup, ListGroup, WaitGroup, RetractGroup, ByGroup, ConfirmGroup, JSONGroup, DevGroup, VersionGroup, LogGroup,
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
var settings = complete([]Setting{
	{Group: ProjectGroup, Name: "project", Env: "GOOGLE_CLOUD_PROJECT",
		Help:  "Google Cloud project of Pub/Sub and Firestore",
		parse: matching(`^([A-Za-z0-9][A-Za-z0-9.:_-]{0,98}[A-Za-z0-9])?$`, "a Google Cloud project id, such as my-project", func(c *Config) *string { return &c.Project })},

	{Group: RegistryGroup, Name: "database", Env: "FIRESTORE_DATABASE", Default: "(default)",
		Help:  "Firestore database",
		parse: matching(`^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$`, "(default) or a Firestore database id", func(c *Config) *string { return &c.Database })},
	{Group: RegistryGroup, Name: "registry-backend", Env: "REALTIME_REGISTRY_BACKEND", Default: "firestore",
		Help:  "where ownership is kept: firestore, or memory (of this process: for tests, dev and run --api)",
		parse: backend(func(c *Config) *Backend { return &c.RegistryBackend })},
	{Group: RegistryGroup, Name: "collection-prefix", Env: "REGISTRY_COLLECTION_PREFIX",
		Help:  "prefix of the names of all Firestore collections",
		parse: matching(`^(|[^/._\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,199})$`, "at most 200 characters, no / and no control characters, not beginning with . or _", func(c *Config) *string { return &c.CollectionPrefix })},

	{Group: PubSubGroup, Name: "subscriptions",
		Default: defaultSubscriptions(),
		Help:    "subscriptions to consume, by comma",
		parse:   names(func(c *Config) *[]string { return &c.Subscriptions })},
	{Group: PubSubGroup, Also: ConsoleGroup, Name: "dead-letter-topic", Default: "realtime-registry-dead-letters",
		Help:  "topic for refused messages; its subscription has the same name",
		parse: name(func(c *Config) *string { return &c.DeadLetterTopic })},

	{Group: EventsGroup, Name: "max-clock-skew", Default: "5m",
		Help:  "refuse an event whose time is more than this after its publish time (in files: after now)",
		parse: duration(time.Second, 24*time.Hour, func(c *Config) *time.Duration { return &c.MaxClockSkew })},

	{Group: WorkerGroup, Name: "accept",
		Help:  "SUBSCRIPTION=TYPE, by comma: the types that a subscription carries; others are refused as unknown_type. A subscription with a default name carries its own type, any other one every type",
		parse: accept},
	{Group: WorkerGroup, Name: "sources",
		Help:  "TYPE=PATTERN, by comma: the sources that may send a type, * for any text; others are refused as foreign_source. A type without a pattern may come from every source",
		parse: sources},
	{Group: WorkerGroup, Name: "max-event-age", Default: "0s",
		Help:  "refuse an event whose time is more than this before its publish time, as from_past; 0 refuses none",
		parse: off(duration(time.Second, 10*365*24*time.Hour, func(c *Config) *time.Duration { return &c.MaxEventAge }))},

	{Group: RunGroup, Name: "api", Bool: true, Default: "false",
		Help:  "answer access checks and claims too, as serve does",
		parse: boolean(func(c *Config) *bool { return &c.API })},

	{Group: DrainGroup, Name: "drain-timeout", Default: "20s",
		Help:  "on SIGTERM, how long to finish messages and requests that were received, before the rest is nacked",
		parse: duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.DrainTimeout })},
	{Group: WorkerGroup, Name: "streams", Default: strconv.Itoa(consumer.ServiceStreams), OnEmulator: strconv.Itoa(consumer.EmulatorStreams),
		Help:  "StreamingPull streams per subscription; one carries some 10 MB/s",
		parse: integer(1, 256, func(c *Config) *int { return &c.Streams })},
	{Group: WorkerGroup, Name: "lease", Default: "20s",
		Help:  "after a crash, the messages that the worker held are delivered again this much later",
		parse: duration(10*time.Second, 10*time.Minute, func(c *Config) *time.Duration { return &c.Lease })},
	{Group: WorkerGroup, Name: "max-outstanding", Default: "3000",
		Help:  "most messages held in memory",
		parse: integer(1, 1_000_000, func(c *Config) *int { return &c.MaxOutstanding })},

	{Group: APIGroup, Name: "listen", Default: "127.0.0.1:8080",
		Help:  "address of the HTTP server; without it serve and run use the port that PORT names, on all addresses; off loopback the API demands --api-token",
		parse: address(func(c *Config) *string { return &c.Listen })},
	{Group: APIGroup, Name: "api-token", Secret: true,
		Help:  "bearer token that requests must carry, of 16 characters or more; two by comma while one replaces the other; better by variable or file: others on the machine can see flags",
		parse: tokens(func(c *Config) *[]string { return &c.APITokens })},
	{Group: APIGroup, Name: "api-token-file",
		Help:  "file with that token, or two, one a line, in place of --api-token; read again every 10 s",
		parse: anything(func(c *Config) *string { return &c.APITokenFile })},
	{Group: APIGroup, Name: "claim-token", Secret: true,
		Help:  "bearer token of claims (PUT), in place of --api-token",
		parse: tokens(func(c *Config) *[]string { return &c.ClaimTokens })},
	{Group: APIGroup, Name: "claim-token-file",
		Help:  "file with the token of claims, as --api-token-file",
		parse: anything(func(c *Config) *string { return &c.ClaimTokenFile })},
	{Group: APIGroup, Name: "max-connections", Default: "4096",
		Help:  "most connections at once; a few more may only ask for health",
		parse: integer(1, 1_000_000, func(c *Config) *int { return &c.MaxConnections })},
	{Group: APIGroup, Name: "keep-alive", Default: "620s",
		Help:  "how long an idle connection is kept; make it longer than the load balancer keeps its end (Google's: 600 s)",
		parse: duration(time.Second, time.Hour, func(c *Config) *time.Duration { return &c.KeepAlive })},
	{Group: APIGroup, Name: "shutdown-delay", Default: "5s",
		Help:  "on SIGTERM, how long checks and claims are still answered while /readyz fails, before the drain, so that their senders can notice",
		parse: duration(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.ShutdownDelay })},
	{Group: APIGroup, Name: "metrics-listen",
		Help:  "address of its own for /metrics and health, for monitoring; --listen has no /metrics then",
		parse: optional(address(func(c *Config) *string { return &c.MetricsListen }))},
	{Group: APIGroup, Name: "miss-grace", Default: "0s",
		Help:  "read again for this long before refusing; for create flows that only publish",
		parse: duration(0, time.Minute, func(c *Config) *time.Duration { return &c.MissGrace })},
	{Group: APIGroup, Name: "stream-paths", Default: strings.Join(streampath.Defaults, ","),
		Help:  "paths of streams that proxies ask about at /v1/forward-auth, by comma, with {thread_id} or {canvas_id} in the id's place; or @FILE, with one a line",
		parse: streamPaths},
	{Group: APIGroup, Name: "max-staleness", Default: "2s",
		Help:  "how old an answer from memory may be after a move; 0 reads the store at every check",
		parse: off(duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.MaxStaleness }))},
	{Group: APIGroup, Name: "max-age", Default: "registry",
		Help:  "how old it may be after a plain set by another program; registry is 30s, and 24h from `upgrade --plain-sets over` on; 0 is no bound",
		parse: maxAge},

	{Group: ConsoleGroup, Name: "console", Default: ConsoleAuto,
		Help:  "the page at /console, for people: on, off, or auto: on if --listen can be reached from this machine only. Anyone who may use the API can see there who owns what",
		parse: oneOf(func(c *Config) *string { return &c.Console }, ConsoleAuto, ConsoleOn, ConsoleOff)},
	{Group: ConsoleGroup, Name: "console-peers",
		Help:  "base URLs of other processes that the console shows too, by comma, at which they have /metrics and /readyz, such as http://127.0.0.1:8081 for a worker; a name with several addresses is a process at each",
		parse: peers},

	{Group: ThrottleGroup, Name: "throttle-backend", Env: "RATE_LIMIT_BACKEND", Default: "firestore",
		Help:  "where throttle windows are kept: firestore or memory",
		parse: backend(func(c *Config) *Backend { return &c.ThrottleBackend })},
	{Group: ThrottleGroup, Name: "throttle-policies",
		Help:  "YAML file of policies by tenant and action; read again when it changes",
		parse: anything(func(c *Config) *string { return &c.ThrottlePolicies })},
	{Group: ThrottleGroup, Name: "throttle-on-error", Default: "deny",
		Help:  "what a throttled request gets while the store is down: deny (503), or allow (not counted)",
		parse: oneOf(func(c *Config) *string { return &c.ThrottleOnError }, "deny", "allow")},

	{Group: LetterGroup, Name: "reason", FlagOnly: true,
		Help:  "only letters refused for these reasons, by comma",
		parse: reasons(func(c *Config) *[]events.Reason { return &c.LetterReasons })},
	{Group: LetterGroup, Name: "type", FlagOnly: true,
		Help:  "only letters whose events have these types, by comma",
		parse: words(func(c *Config) *[]string { return &c.LetterTypes })},
	{Group: LetterGroup, Name: "subscription", FlagOnly: true,
		Help:  "only letters from these subscriptions, by comma",
		parse: words(func(c *Config) *[]string { return &c.LetterSubscriptions })},
	{Group: LetterGroup, Name: "id", FlagOnly: true,
		Help:  "only letters with this id, of the event or of the refused message",
		parse: anything(func(c *Config) *string { return &c.LetterID })},
	{Group: LetterGroup, Name: "after", FlagOnly: true,
		Help:  "only letters refused at this time or later (RFC 3339, or an age such as 2h)",
		parse: pointInTime(func(c *Config) *time.Time { return &c.After })},
	{Group: LetterGroup, Name: "before", FlagOnly: true,
		Help:  "only letters refused before this time (RFC 3339, or an age such as 2h)",
		parse: pointInTime(func(c *Config) *time.Time { return &c.Before })},
	{Group: LetterGroup, Name: "limit", Default: "0", FlagOnly: true,
		Help:  "at most this many letters; 0 is all of them, in a list 1,000",
		parse: integer(0, 1_000_000, func(c *Config) *int { return &c.Limit })},
	{Group: RedriveGroup, Name: "max-redrives", Default: strconv.Itoa(pubsubadmin.DefaultMaxRedrives), FlagOnly: true,
		Help:  "leave letters that were published again this often, and refused each time",
		parse: integer(1, 10_000, func(c *Config) *int { return &c.MaxRedrives })},

	{Group: DryRunGroup, Name: "dry-run", Bool: true, Default: "false",
		Help:  "print what would be done, and change nothing",
		parse: boolean(func(c *Config) *bool { return &c.DryRun })},
	{Group: ExportGroup, Name: "check", Bool: true, Default: "false",
		Help:  "print documents whose tenant_id differs from the fold, in place of the export; exit 1 if there are any",
		parse: boolean(func(c *Config) *bool { return &c.Check })},
	{Group: ExportGroup, Name: "output",
		Help:  "file to write to, gzipped if its name ends in .gz, in place of standard output; it can be resumed, and reads in parallel",
		parse: anything(func(c *Config) *string { return &c.Output })},
	{Group: DevGroup, Name: "empty", Bool: true, Default: "false",
		Help:  "start without the example events",
		parse: boolean(func(c *Config) *bool { return &c.Empty })},
	{Group: DevGroup, Name: "service-rules", Bool: true, Default: "false",
		Help:  "the emulators refuse, bound and slow down what the services do, for your own program too, at the printed addresses",
		parse: boolean(func(c *Config) *bool { return &c.ServiceRules })},
	{Group: DevGroup, Name: "rtt", Default: "0s",
		Help:  "round trip to the emulators; implies --service-rules",
		parse: duration(0, 10*time.Second, func(c *Config) *time.Duration { return &c.RoundTrip })},

	{Group: ExportGroup, Name: "events", Bool: true, Default: "false",
		Help:  "print the events from which an empty registry becomes this one, for replay, in place of the export",
		parse: boolean(func(c *Config) *bool { return &c.Events })},

	{Group: RateGroup, Name: "rate", Default: "ramp",
		Help:  "documents a second, for replays and for the rewriting after moves: ramp (500, and 50 % more every 5 minutes, as Firestore asks for), a number, or unlimited (for emulators)",
		parse: rate},
	{Group: ReplayGroup, Name: "since",
		Help:  "rewind the subscriptions to this time (RFC 3339, or an age such as 2h), in place of replaying files",
		parse: pointInTime(func(c *Config) *time.Time { return &c.Since })},
	{Group: ReplayGroup, Name: "checkpoint",
		Help:  "file that keeps the progress, and from which an interrupted replay resumes; for one target and one archive; removed at the end",
		parse: anything(func(c *Config) *string { return &c.Checkpoint })},
	{Group: ReplayGroup, Name: "refused",
		Help:  "file for refused lines, one JSON object each, - for standard output; without it they are named on standard error",
		parse: anything(func(c *Config) *string { return &c.Refused })},
	{Group: ReplayGroup, Name: "with-retractions", Bool: true, Default: "false", FlagOnly: true,
		Help:  "apply the archive's retractions of moves too, which are otherwise left out; no variable sets this",
		parse: boolean(func(c *Config) *bool { return &c.WithRetractions })},
	{Group: ReplayGroup, Name: "with-assertions", Bool: true, Default: "false", FlagOnly: true,
		Help:  "apply the archive's plain sets too, which are otherwise left out; no variable sets this",
		parse: boolean(func(c *Config) *bool { return &c.WithAssertions })},
	{Group: UpgradeGroup, Name: "plain-sets", FlagOnly: true,
		Help:  "record in the registry whether programs still write documents with plain sets: over or go-on",
		parse: optional(oneOf(func(c *Config) *string { return &c.PlainSets }, "over", "go-on"))},
	{Group: UpgradeGroup, Name: "finish", Bool: true, Default: "false", FlagOnly: true,
		Help:  "record that no process of an earlier release will take part again; no variable sets this",
		parse: boolean(func(c *Config) *bool { return &c.Finish })},
	{Group: ConfirmGroup, Name: "yes", Bool: true, Default: "false", FlagOnly: true,
		Help:  "do not ask; no variable sets this",
		parse: boolean(func(c *Config) *bool { return &c.Yes })},
	{Group: PlanGroup, Name: "from",
		Help:  "tenant whose resources would move",
		parse: tenant(func(c *Config) *string { return &c.From })},
	{Group: PlanGroup, Name: "to",
		Help:  "tenant that would own them",
		parse: tenant(func(c *Config) *string { return &c.To })},
	{Group: NamesGroup, Name: "kind", FlagOnly: true,
		Help:  "only resources of this kind, thread or canvas; without it, everything",
		parse: optional(oneOf(func(c *Config) *string { return &c.Kind }, "thread", "canvas"))},
	{Group: NamesGroup, Name: "resources", FlagOnly: true,
		Help:  "file that names the resources, one KIND/ID a line, such as thread/th_42; - is standard input",
		parse: anything(func(c *Config) *string { return &c.Resources })},
	{Group: NamesGroup, Name: "moved-by", FlagOnly: true,
		Help:  "only resources that the move with this id brought to --from: with the tenants exchanged, it takes that move back",
		parse: anything(func(c *Config) *string { return &c.MovedBy })},
	{Group: StartGroup, Name: "plan", FlagOnly: true,
		Help:  "file with the output of moves plan --json, which must still hold",
		parse: anything(func(c *Config) *string { return &c.Plan })},
	{Group: StartGroup, Name: "id", FlagOnly: true,
		Help:  "id of the move, for the record and to resume it; by default made of tenants and time",
		parse: note(func(c *Config) *string { return &c.MoveID })},
	{Group: ListGroup, Name: "tenant", FlagOnly: true,
		Help:  "only moves from this tenant, or to it",
		parse: tenant(func(c *Config) *string { return &c.Tenant })},
	{Group: ListGroup, Name: "state", FlagOnly: true,
		Help:  "only moves whose rewriting is pending, parked or done, or that are retracted",
		parse: optional(oneOf(func(c *Config) *string { return &c.State }, MovePending, MoveParked, MoveDone, MoveRetracted))},
	{Group: ListGroup, Name: "since", FlagOnly: true,
		Help:  "only moves with this time or later (RFC 3339, or an age such as 48h)",
		parse: pointInTime(func(c *Config) *time.Time { return &c.Since })},
	{Group: ListGroup, Name: "before", FlagOnly: true,
		Help:  "only moves with an earlier time (RFC 3339, or an age such as 48h)",
		parse: pointInTime(func(c *Config) *time.Time { return &c.Before })},
	{Group: ListGroup, Name: "limit", Default: "50", FlagOnly: true,
		Help:  "at most this many moves, a read each; 0 is all of them",
		parse: integer(0, 1_000_000, func(c *Config) *int { return &c.Limit })},
	{Group: ListGroup, Name: "behind", Default: "0", FlagOnly: true,
		Help:  "start after the move with this ledger position, as the end of a page says; 0 is from the first",
		parse: integer(0, math.MaxInt, func(c *Config) *int { return &c.Behind })},
	{Group: WaitGroup, Name: "wait", Bool: true, Default: "false", FlagOnly: true,
		Help:  "wait until the documents have followed, and show the progress meanwhile",
		parse: boolean(func(c *Config) *bool { return &c.Wait })},
	{Group: AtGroup, Name: "at", FlagOnly: true,
		Help:  "print who owned it at this time (RFC 3339, or an age such as 48h)",
		parse: pointInTime(func(c *Config) *time.Time { return &c.At })},
	{Group: MoveGroup, Name: "source",
		Help:  "source of the move's event; by default //operator for a new one; otherwise only needed if several have the same id",
		parse: anything(func(c *Config) *string { return &c.Source })},
	{Group: RetractGroup, Name: "reason",
		Help:  "reason, for the record, at most 512 bytes",
		parse: note(func(c *Config) *string { return &c.Reason })},
	{Group: ByGroup, Name: "by",
		Help:  "who does it, for the record, at most 256 bytes; by default the user of this machine",
		parse: who(func(c *Config) *string { return &c.By })},
	{Group: JSONGroup, Name: "json", Bool: true, Default: "false",
		Help:  "print JSON",
		parse: boolean(func(c *Config) *bool { return &c.JSON })},

	{Group: VersionGroup, Name: "licenses", Bool: true, Default: "false", FlagOnly: true,
		Help:  "print the licences of everything linked into the program",
		parse: boolean(func(c *Config) *bool { return &c.Licenses })},

	{Group: LogGroup, Name: "log-format", Default: telemetry.Auto,
		Help:  "text, json, google (JSON as Google Cloud Logging reads it), or auto: text on a terminal, google on Cloud Run and Kubernetes, else json for run and serve and text for the others",
		parse: oneOf(func(c *Config) *string { return &c.LogFormat }, telemetry.LogFormats...)},
	{Group: LogGroup, Name: "log-level", Default: "info",
		Help:  "debug, info, warn or error",
		parse: level},
})

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
