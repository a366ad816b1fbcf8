package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
)

// leastHorizon is longer than Pub/Sub keeps any message: 31 days in a topic, and as
// many again as a dead letter.
const leastHorizon = 63 * 24 * time.Hour

// serviceSettings are the settings of backends, workers, the API and the throttle.
var serviceSettings = []Setting{
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

	{Group: ClaimsGroup, Name: "log-topic", Default: "realtime-registry-log",
		Help:  "topic of the registry's log, to which claims, operators' moves and retractions are published; its subscription has the same name",
		parse: name(func(c *Config) *string { return &c.LogTopic })},

	{Group: EventsGroup, Name: "max-clock-skew", Default: "5m",
		Help:  "refuse an event whose time is more than this after its publish time (in files: after now)",
		parse: duration(time.Second, 24*time.Hour, func(c *Config) *time.Duration { return &c.MaxClockSkew })},

	{Group: DeletionGroup, Name: "deletion-horizon", Default: "9600h",
		Help:  "keep the tombstone of a deleted thread or canvas for this long, 400 days: as long, nothing brings it back; longer than anything is kept that could bring an old event again",
		parse: duration(leastHorizon, 10*365*24*time.Hour, func(c *Config) *time.Duration { return &c.DeletionHorizon })},

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
		Help:  "most connections at once; one that idles gives way to a new one",
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
	{Group: APIGroup, Also: CapacityGroup, Name: "max-staleness", Default: "2s",
		Help:  "how old an answer from memory may be after a move; 0 reads the store at every check",
		parse: off(duration(100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.MaxStaleness }))},
	{Group: APIGroup, Also: CapacityGroup, Name: "max-age", Default: "registry",
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
}
