package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/capacity"
	"github.com/northstar-engines/realtime-registry/internal/governor"
)

// input makes an Input from flags and variables.
func input(flags, env map[string]string) config.Input {
	return config.Input{Flags: flags, LookupEnv: func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}}
}

func load(t *testing.T, flags, env map[string]string, rules ...config.Rule) *config.Config {
	t.Helper()
	c, err := config.Load(input(flags, env), config.Groups(), rules...)
	require.NoError(t, err)
	return c
}

func TestFlagWinsOverVariableWinsOverDefault(t *testing.T) {
	env := map[string]string{"REGISTRY_DRAIN_TIMEOUT": "7s"}

	require.Equal(t, 20*time.Second, load(t, nil, nil).DrainTimeout)
	require.Equal(t, 7*time.Second, load(t, nil, env).DrainTimeout)
	require.Equal(t, 9*time.Second, load(t, map[string]string{"drain-timeout": "9s"}, env).DrainTimeout)
}

func TestPORTSaysWhereAServiceListensIfNothingElseDoes(t *testing.T) {
	listen := func(flags, env map[string]string) string {
		t.Helper()
		in := input(flags, env)
		in.Port = true
		c, err := config.Load(in, config.Groups())
		require.NoError(t, err)
		return c.Listen
	}
	port := map[string]string{"PORT": "9999"}
	require.Equal(t, ":9999", listen(nil, port))
	require.Equal(t, "127.0.0.1:1", listen(map[string]string{"listen": "127.0.0.1:1"}, port))
	require.Equal(t, "127.0.0.1:2", listen(nil, map[string]string{"PORT": "9999", "REGISTRY_LISTEN": "127.0.0.1:2"}))
	require.Equal(t, "127.0.0.1:8080", listen(nil, map[string]string{"PORT": ""}))
	require.Equal(t, "127.0.0.1:8080", load(t, nil, port).Listen, "dev stays on loopback")
}

func TestAPIAtPORTDemandsAToken(t *testing.T) {
	in := input(nil, map[string]string{"PORT": "9999"})
	in.Port = true
	_, err := config.Load(in, config.Groups(), config.NeedTokenOffLoopback)
	require.ErrorContains(t, err, "PORT")
	require.ErrorContains(t, err, "REGISTRY_API_TOKEN")
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	require.Equal(t, 20*time.Second, load(t, nil, map[string]string{"REGISTRY_DRAIN_TIMEOUT": ""}).DrainTimeout)
}

func TestAMalformedVariableIsNoFaultWhereAFlagWins(t *testing.T) {
	c := load(t, map[string]string{"streams": "2"}, map[string]string{"REGISTRY_STREAMS": "many"})
	require.Equal(t, 2, c.Streams)
}

func TestDefaultsAreThoseOfTheDesign(t *testing.T) {
	c := load(t, nil, nil)
	require.Equal(t, "(default)", c.Database)
	require.Equal(t, config.Firestore, c.RegistryBackend)
	require.Equal(t, config.Firestore, c.ThrottleBackend)
	require.Empty(t, c.CollectionPrefix)
	require.Equal(t, []string{
		"nexus-thread-created.realtime-registry",
		"nexus-canvas-created.realtime-registry",
		"nexus-tenant-moved.realtime-registry",
		"nexus-thread-deleted.realtime-registry",
		"nexus-canvas-deleted.realtime-registry",
	}, c.Subscriptions)
	require.Equal(t, "realtime-registry-dead-letters", c.DeadLetterTopic)
	require.Equal(t, "127.0.0.1:8080", c.Listen)
	require.Equal(t, 20*time.Second, c.DrainTimeout)
	require.Equal(t, 5*time.Minute, c.MaxClockSkew)
}

func TestStreamsFollowWhomTheWorkerTalksTo(t *testing.T) {
	emulator := map[string]string{"PUBSUB_EMULATOR_HOST": "127.0.0.1:8085"}
	require.Equal(t, 2, load(t, nil, nil).Streams)
	require.Equal(t, 16, load(t, nil, emulator).Streams)
	require.True(t, load(t, nil, emulator).Defaulted("streams"))
	require.Equal(t, 3, load(t, map[string]string{"streams": "3"}, emulator).Streams)
}

func TestVariablesHaveTheNamesOfTheDesign(t *testing.T) {
	named := map[string]string{
		"project":           "GOOGLE_CLOUD_PROJECT",
		"database":          "FIRESTORE_DATABASE",
		"registry-backend":  "REALTIME_REGISTRY_BACKEND",
		"throttle-backend":  "RATE_LIMIT_BACKEND",
		"collection-prefix": "REGISTRY_COLLECTION_PREFIX",
		"subscriptions":     "REGISTRY_SUBSCRIPTIONS",
		"dead-letter-topic": "REGISTRY_DEAD_LETTER_TOPIC",
		"listen":            "REGISTRY_LISTEN",
		"api-token":         "REGISTRY_API_TOKEN",
		"claim-token":       "REGISTRY_CLAIM_TOKEN",
		"drain-timeout":     "REGISTRY_DRAIN_TIMEOUT",
	}
	seen := map[string]bool{}
	for _, s := range config.Settings() {
		if s.FlagOnly {
			require.Empty(t, s.Env)
			continue
		}
		if want, ok := named[s.Name]; ok {
			require.Equal(t, want, s.Env)
			delete(named, s.Name)
		} else {
			require.Equal(t, config.EnvName(s.Name), s.Env)
		}
		require.False(t, seen[s.Env], "%s stands twice", s.Env)
		seen[s.Env] = true
	}
	require.Empty(t, named)
}

func TestEverySettingHasHelpAndAGoodDefault(t *testing.T) {
	for _, s := range config.Settings() {
		require.Regexp(t, regexp.MustCompile(`^[a-z][a-z-]*[a-z]$`), s.Name)
		require.NotEmpty(t, s.Help, s.Name)
		require.Contains(t, config.Groups(), s.Group)
	}
	_, err := config.Load(input(nil, nil), config.Groups())
	require.NoError(t, err)
}

func TestEverySettingIsKept(t *testing.T) {
	given := map[string]string{
		"project": "p-1", "database": "other", "registry-backend": "memory", "throttle-backend": "memory",
		"collection-prefix": "staging_", "subscriptions": "one, two", "dead-letter-topic": "dead", "log-topic": "log",
		"api": "true", "max-clock-skew": "1m", "max-event-age": "1h", "deletion-horizon": "2400h", "accept": "one=nexus.thread.created.v1", "sources": "nexus.thread.created.v1=//nexus/*", "drain-timeout": "1s", "streams": "3",
		"throttle-policies": "policies.yaml", "throttle-on-error": "allow", "lease": "10s", "max-outstanding": "5", "listen": "[::1]:0", "api-token": "0123456789abcdef", "claim-token": "fedcba9876543210,0123456789abcdef",
		"api-token-file": "a", "claim-token-file": "b", "max-connections": "7", "metrics-listen": "127.0.0.1:0", "stream-paths": "/a/{thread_id}, /b/{canvas_id}", "keep-alive": "1m", "shutdown-delay": "1s",
		"console": "off", "console-peers": "http://127.0.0.1:8081, https://w", "miss-grace": "2s", "max-staleness": "1s", "max-age": "10s", "dry-run": "true", "check": "1", "empty": "true", "service-rules": "true", "rtt": "20ms", "log-format": "text", "log-level": "debug",
		"events": "true", "rate": "100", "since": "2024-01-01T00:00:00Z", "checkpoint": "a", "output": "c", "refused": "b", "yes": "true", "unknown": "true", "with-retractions": "true", "with-assertions": "true", "without-log": "true", "into-empty": "true", "with-gap": "true",
		"from": "t_a", "to": "t_b", "source": "//c", "by": "d", "reason": "conflict", "json": "true", "licenses": "true", "finish": "true", "plain-sets": "over",
		"type": "a, b", "subscription": "a", "id": "a", "after": "1h", "before": "2024-01-01T00:00:00Z", "limit": "1", "max-redrives": "2", "comment": "why",
		"tenant": "t_a", "state": "parked", "behind": "3", "kind": "thread", "resources": "a", "moved-by": "m", "at": "2024-01-02", "plan": "b", "wait": "true",
	}
	names := map[string]bool{} // a name may mean one thing for dead letters and another for moves
	for _, s := range config.In(ofMachines) {
		names[s.Name] = true
	}
	require.Len(t, given, len(names), "a setting is missing here")
	c, err := config.Load(input(given, nil), ofMachines)
	require.NoError(t, err)
	fields := reflect.ValueOf(*c)
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		require.Equal(t, name == "Capacity", fields.Field(i).IsZero(), name)
	}
}

// ofMachines are the groups of all settings, except those that describe an
// installation: a number of resources has the name of a file of them.
var ofMachines = slices.DeleteFunc(config.Groups(), func(g config.Group) bool { return g == config.CapacityGroup })

func TestEveryNumberOfAnInstallationIsKept(t *testing.T) {
	only := []config.Group{config.CapacityGroup}
	usual, err := config.Load(input(nil, nil), only)
	require.NoError(t, err)
	require.Equal(t, capacity.Defaults().Tenants, usual.Capacity.Tenants)
	for _, s := range config.In(only) {
		if s.Group != config.CapacityGroup {
			continue
		}
		value := "0.5"
		if s.Name == "worker-cpu" {
			value = "7µs"
		}
		given, err := config.Load(input(map[string]string{s.Name: value}, nil), only)
		require.NoError(t, err)
		require.NotEqual(t, usual.Capacity, given.Capacity, s.Name)
	}
}

func TestPathsOfStreamsComeFromAFlagAVariableOrAFile(t *testing.T) {
	found := func(c *config.Config, target string) string {
		resource, err := c.StreamPaths.Find(target)
		if err != nil {
			return "none"
		}
		return resource.String()
	}
	require.Equal(t, "thread/th_1", found(load(t, nil, nil), "/ws/chat/th_1"))
	require.Equal(t, "canvas/cv_1", found(load(t, nil, map[string]string{"REGISTRY_STREAM_PATHS": "/a/{thread_id}, /b/{canvas_id}"}), "/b/cv_1"))
	file := filepath.Join(t.TempDir(), "paths")
	require.NoError(t, os.WriteFile(file, []byte("# streams\n/a/{thread_id}\r\n\n  /b/{canvas_id}\n"), 0o600))
	c := load(t, map[string]string{"stream-paths": "@" + file}, nil)
	require.Equal(t, "thread/th_1", found(c, "/a/th_1"))
	require.Equal(t, "canvas/cv_1", found(c, "/b/cv_1"))
	require.Equal(t, "none", found(c, "/ws/chat/th_1"))
}

func TestFaultsAreReportedAllAtOnceWithTheirSource(t *testing.T) {
	flags := map[string]string{"project": "a/b", "drain-timeout": "20", "api": "maybe", "listen": "8080"}
	env := map[string]string{
		"REGISTRY_STREAMS":          "0",
		"REALTIME_REGISTRY_BACKEND": "Firebase",
		"REGISTRY_SUBSCRIPTIONS":    "good-one,b/d",
		"REGISTRY_LOG_LEVEL":        "loud",
	}
	_, err := config.Load(input(flags, env), config.Groups())

	want := []string{
		`configuration: 8 faults`,
		`--project "a/b": want a Google Cloud project id`,
		`--registry-backend "Firebase" (from REALTIME_REGISTRY_BACKEND): want firestore or memory`,
		`--subscriptions "good-one,b/d" (from REGISTRY_SUBSCRIPTIONS): "b/d": want a letter`,
		`--api "maybe": want true or false`,
		`--drain-timeout "20": want a duration with its unit`,
		`--streams "0" (from REGISTRY_STREAMS): want a whole number from 1 to 256`,
		`--listen "8080": want host:port`,
		`--log-level "loud" (from REGISTRY_LOG_LEVEL): want debug, info, warn or error`,
	}
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, len(want))
	for i := range want {
		require.Contains(t, lines[i], want[i])
	}
}

func TestHostileValuesAreRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"project":           {"a b", "../x", "p\x00q", "\xff\xfe", strings.Repeat("p", 200)},
		"database":          {"", "(other)", "a/b", "ab", "UPPER"},
		"collection-prefix": {"a/b", "__a", ".", "a\x00", "\xff", strings.Repeat("p", 201)},
		"subscriptions":     {"", ",", "a,,b", "projects/p/subscriptions/s", "twice,twice", "goog-x"},
		"dead-letter-topic": {"", "x", "ä-topic", "1-topic"},
		"drain-timeout":     {"", "-1s", "20", "1y", "2h", "9999999999999s", "NaN"},
		"max-clock-skew":    {"-5m", "25h"},
		"accept":            {"one", "one=", "=nexus.tenant.moved.v1", "one=nexus.tenant.moved", "one=registry.claimed.v1", "a/b=nexus.tenant.moved.v1", "one=nexus.tenant.moved.v1,", "one=nexus.tenant.moved.v1,one=nexus.tenant.moved.v1"},
		"sources":           {"//nexus", "nexus.tenant.moved.v1", "nexus.tenant.moved.v1=", "nexus.tenant.moved=//nexus", ",nexus.tenant.moved.v1=//nexus"},
		"max-event-age":     {"", "-1h", "5", "1ms"},
		"deletion-horizon":  {"", "0", "31d", "744h", "87601h"},
		"streams":           {"", "-1", "0", "1.5", "1e2", "257", "99999999999999999999"},
		"listen":            {"", "8080", "localhost", ":http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80", " 127.0.0.1:80", "a b:80", "a\nb:80", "\u202ehost:80"},
		"api-token":         {"a b", "naïve", "line\nbreak", "=", "a=b", "short", "fifteen-letters", "0123456789abcdef,short", "0123456789abcdef,0123456789abcdef,0123456789abcdef"},
		"metrics-listen":    {"8080", ":http"},
		"max-connections":   {"0", "-1", "many"},
		"stream-paths":      {"", "sse/{thread_id}", "/sse", "/sse/{id}", "/a/{thread_id},/a/{canvas_id}", "/a/{thread_id},", "@", "@/nowhere", "@/dev/stdin", "@" + os.TempDir()},
		"api":               {"", "yes", "maybe"},
		"log-format":        {"", "xml", " json"},
	} {
		for _, value := range values {
			c, err := config.Load(input(map[string]string{name: value}, nil), config.Groups())
			require.Error(t, err, "--%s %q", name, value)
			var faults config.Faults
			require.ErrorAs(t, err, &faults)
			require.Len(t, faults, 1)
			require.Equal(t, name, faults[0].Name)
			require.NotNil(t, c)
			require.Less(t, len(err.Error()), 500, "a fault stays one readable line")
		}
	}
}

func TestDaysAreTakenInDurationsAndAges(t *testing.T) {
	for text, want := range map[string]time.Duration{"400d": 9600 * time.Hour, "100d12h": 2412 * time.Hour, "9600h": 9600 * time.Hour} {
		require.Equal(t, want, load(t, map[string]string{"deletion-horizon": text}, nil).DeletionHorizon, text)
		require.WithinDuration(t, time.Now().Add(-want), load(t, map[string]string{"since": text}, nil).Since, time.Minute, text)
	}
	for _, text := range []string{"d", "-3d", "1.5d", "40d25h", "40d-1h", "40dd", "40d1", "12h40d", "99999999999d", "106751d"} {
		for _, name := range []string{"deletion-horizon", "since", "max-age", "max-event-age"} {
			_, err := config.Load(input(map[string]string{name: text}, nil), config.Groups())
			require.Error(t, err, "%s %s", name, text)
		}
	}
}

// A shell's variable that was never set must not select everything.
func TestAFlagThatSelectsIsNotGivenEmpty(t *testing.T) {
	for _, name := range []string{"since", "before", "after", "tenant", "id", "state", "resources"} {
		_, err := config.Load(input(map[string]string{name: ""}, nil), config.Groups())
		require.ErrorContains(t, err, "--"+name+` "": it is empty, as a variable of the shell that was not set`)
		_, err = config.Load(input(nil, map[string]string{config.EnvName(name): ""}), config.Groups())
		require.NotContains(t, fmt.Sprint(err), "--"+name)
	}
}

func TestWordsAreTakenInAnyCase(t *testing.T) {
	c := load(t, map[string]string{"log-format": "JSON", "throttle-on-error": "Allow", "rate": "Unlimited"},
		map[string]string{"REGISTRY_LOG_LEVEL": "WARN", "REALTIME_REGISTRY_BACKEND": "Memory", "RATE_LIMIT_BACKEND": "FIRESTORE", "REGISTRY_API": "TRUE"})
	require.Equal(t, slog.LevelWarn, c.LogLevel)
	require.Equal(t, "json", c.LogFormat)
	require.Equal(t, "allow", c.ThrottleOnError)
	require.Equal(t, config.Memory, c.RegistryBackend)
	require.Equal(t, config.Firestore, c.ThrottleBackend)
	require.Equal(t, governor.Unlimited, c.Rate)
	require.True(t, c.API)
}

func TestAPasswordInAValueIsNotShownEitherWay(t *testing.T) {
	c, err := config.Load(input(map[string]string{"listen": "http://user:s3cret@host:80"}, nil), config.Groups())
	require.NotContains(t, err.Error(), "s3cret")
	for _, e := range c.Entries() {
		require.NotContains(t, e.Value, "s3cret", e.Name)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	c := load(t, map[string]string{"claim-token": "s3cret-s3cret-s3cret"}, map[string]string{"REGISTRY_API_TOKEN": "s3cret-s3cret-s3cret"})
	require.Equal(t, []string{"s3cret-s3cret-s3cret"}, c.APITokens)
	for _, e := range c.Entries() {
		require.NotContains(t, e.Value, "s3cret", e.Name)
	}
	_, err := config.Load(input(map[string]string{"api-token": "s3cret s3cret"}, nil), config.Groups())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestRules(t *testing.T) {
	memory := map[string]string{"registry-backend": "memory"}
	api := func(listen, token string) map[string]string {
		return map[string]string{"api": "true", "listen": listen, "api-token": token}
	}
	shared := config.NeedSharedRegistry("nobody else sees it")
	for name, c := range map[string]struct {
		rule  config.Rule
		flags map[string]string
		fault string // empty: none
	}{
		"a project is needed":                      {config.NeedProject, nil, "--project (GOOGLE_CLOUD_PROJECT) is not set"},
		"a project that is empty is none":          {config.NeedProject, map[string]string{"project": ""}, `--project "": want`},
		"a project is given":                       {config.NeedProject, map[string]string{"project": "p-1"}, ""},
		"memory that others would have to see":     {shared, memory, `--registry-backend "memory": nobody else sees it`},
		"firestore is seen by others":              {shared, nil, ""},
		"a throttle that others would have to see": {config.NeedSharedThrottle("x"), map[string]string{"throttle-backend": "memory"}, "--throttle-backend"},
		"without the API":                          {config.WorkerWithoutAPI(shared), memory, "--registry-backend"},
		"with the API, not without":                {config.WorkerWithAPI(shared), memory, ""},
		"subscriptions that tell their topics":     {config.NeedTopicNames, nil, ""},
		"a subscription of no topic":               {config.NeedTopicNames, map[string]string{"subscriptions": "one.two,three"}, `"three": want TOPIC.CONSUMER`},
		"accepting for what is consumed":           {config.NeedAcceptedSubscriptions, map[string]string{"subscriptions": "one", "accept": "one=nexus.tenant.moved.v1"}, ""},
		"accepting for what is not":                {config.NeedAcceptedSubscriptions, map[string]string{"subscriptions": "one", "accept": "onee=nexus.tenant.moved.v1"}, `"onee" is none of --subscriptions`},
		"loopback needs no token":                  {config.NeedTokenOffLoopback, api("127.0.0.1:8080", ""), ""},
		"localhost is loopback":                    {config.NeedTokenOffLoopback, api("localhost:0", ""), ""},
		"IPv6 loopback":                            {config.NeedTokenOffLoopback, api("[::1]:80", ""), ""},
		"IPv4 loopback written as IPv6":            {config.NeedTokenOffLoopback, api("[::ffff:127.0.0.1]:80", ""), ""},
		"all addresses need a token":               {config.NeedTokenOffLoopback, api(":8080", ""), "REGISTRY_API_TOKEN"},
		"0.0.0.0 needs a token":                    {config.NeedTokenOffLoopback, api("0.0.0.0:8080", ""), "REGISTRY_API_TOKEN"},
		"a name needs a token":                     {config.NeedTokenOffLoopback, api("localhost.example:80", ""), "REGISTRY_API_TOKEN"},
		"a token is given":                         {config.NeedTokenOffLoopback, api("0.0.0.0:8080", "0123456789abcdef"), ""},
		"a file of tokens is given":                {config.NeedTokenOffLoopback, map[string]string{"listen": ":80", "api-token-file": "f"}, ""},
		"metrics at an address of their own":       {config.TwoAddresses, map[string]string{"listen": ":80", "metrics-listen": "127.0.0.1:80"}, ""},
		"both at any port":                         {config.TwoAddresses, map[string]string{"listen": ":0", "metrics-listen": ":0"}, ""},
		"both at one address":                      {config.TwoAddresses, map[string]string{"listen": ":80", "metrics-listen": ":80"}, "--listen has this address"},
		"a token and a file":                       {config.OneSourceOfTokens, map[string]string{"api-token": "0123456789abcdef", "api-token-file": "f"}, "--api-token is given too"},
		"a token of claims and a file of tokens":   {config.OneSourceOfTokens, map[string]string{"claim-token": "0123456789abcdef", "api-token-file": "f"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(input(c.flags, nil), config.Groups(), c.rule)
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.fault)
		})
	}
}

func TestACommandReadsOnlyItsGroups(t *testing.T) {
	env := map[string]string{"REGISTRY_STREAMS": "many"}
	_, err := config.Load(input(nil, env), []config.Group{config.LogGroup})
	require.NoError(t, err, "a fault in what the command does not take is not its fault")
}

func TestWhatASubscriptionCarries(t *testing.T) {
	c := load(t, map[string]string{
		"subscriptions": "nexus-thread-created.realtime-registry,nexus-canvas-created.realtime-registry,mine.all,yours.any",
		"accept":        "mine.all=nexus.thread.created.v1, mine.all=nexus.tenant.moved.v1,nexus-canvas-created.realtime-registry=nexus.tenant.moved.v1",
		"sources":       "nexus.tenant.moved.v1=//nexus/admin, nexus.tenant.moved.v1=//ops/*=*",
	}, nil)
	accepted := c.Accepted()
	require.Equal(t, []events.Type{events.ThreadCreatedType}, accepted["nexus-thread-created.realtime-registry"], "by its name")
	require.Equal(t, []events.Type{events.TenantMovedType}, accepted["nexus-canvas-created.realtime-registry"], "what is said wins over the name")
	require.Equal(t, []events.Type{events.ThreadCreatedType, events.TenantMovedType}, accepted["mine.all"])
	require.Nil(t, accepted["yours.any"])
	require.Equal(t, map[events.Type][]string{events.TenantMovedType: {"//nexus/admin", "//ops/*=*"}}, c.Sources)
}

func TestATimeMayBeADay(t *testing.T) {
	at := func(value string) (*config.Config, error) {
		return config.Load(input(map[string]string{"at": value}, nil), []config.Group{config.AtGroup})
	}
	c, err := at("2024-02-29")
	require.NoError(t, err)
	require.Equal(t, []time.Time{time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)}, []time.Time{c.At, c.AtEnd})
	c, err = at(time.Now().UTC().Format(time.DateOnly))
	require.NoError(t, err)
	require.False(t, c.AtEnd.After(time.Now()), "a day that has not ended goes until now")
	c, err = at("2024-02-29T10:00:00Z")
	require.NoError(t, err)
	require.Zero(t, c.AtEnd)
	_, err = at("2999-01-01")
	require.ErrorContains(t, err, "a day that has begun")
	_, err = at("tuesday")
	require.ErrorContains(t, err, "or a day such as")
}

func TestAReasonThatWasMisspeltIsSuggested(t *testing.T) {
	_, err := config.Load(input(map[string]string{"reason": "malformd"}, nil), []config.Group{config.LetterGroup})
	require.ErrorContains(t, err, `--reason "malformd": did you mean malformed? want reasons, by comma: malformed, `)
	_, err = config.Load(input(map[string]string{"reason": "conflict,whatever"}, nil), []config.Group{config.LetterGroup})
	require.ErrorContains(t, err, `"whatever": want reasons`)
}
