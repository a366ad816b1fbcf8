package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/redact"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var configCommand = command{
	Name:    "config",
	Summary: "check and print the effective configuration, secrets redacted",
	Details: "Prints every setting that a variable can give, with its value and where the value\n" +
		"came from: a flag, a variable, or the default. What is wrong is reported, all of it,\n" +
		"and the exit code is 2; the files of --throttle-policies and of tokens are read for\n" +
		"that, and what OpenTelemetry's variables ask for is tried. Rules that differ by\n" +
		"command (which backend may be memory, when a token is demanded) are checked as for\n" +
		"run, with --api as given.",
	Examples: []string{
		"registry-worker config",
		"GOOGLE_CLOUD_PROJECT=prod registry-worker config --listen 0.0.0.0:8080",
	},
	Groups: config.Lasting(),
	Rules:  runRules,
	Port:   true,
	Faulty: true, // faults are best seen beside the rest
	Run:    printConfig,
}

func printConfig(ctx context.Context, in *invocation) error {
	t := terminal.NewTable(in.Stdout, "SETTING", "VALUE", "FROM", "VARIABLE")
	for _, e := range in.Config.Entries() {
		t.Row("--"+e.Name, e.Value, e.From, e.Env)
	}
	for _, v := range foreignVariables(in.Environ()) {
		name, value, _ := strings.Cut(v, "=")
		t.Row("", value, name, name)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := readTokens(in.Config)
	return errors.Join(checkPolicies(in.Config.ThrottlePolicies), err, checkTelemetry(ctx))
}

// checkTelemetry returns the faults that a service would report, and run in spite
// of.
func checkTelemetry(ctx context.Context) error {
	if err := telemetry.Check(ctx); err != nil {
		return usageError{err}
	}
	return nil
}

// checkPolicies returns the error with which the throttle would not start with this
// policy file.
func checkPolicies(file string) error {
	if file == "" {
		return nil
	}
	if _, err := limits.ReadPolicies(file); err != nil {
		return usageError{fmt.Errorf("--throttle-policies: %w", err)}
	}
	return nil
}

// foreignVariables returns the variables that take effect without being settings of
// ours: those that Google's clients and OpenTelemetry read. Headers carry
// credentials, and are redacted; so are passwords in URLs.
func foreignVariables(environ []string) []string {
	var found []string
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case value == "":
			continue
		case strings.HasPrefix(name, "OTEL_") && strings.HasSuffix(name, "_HEADERS"):
			value = "(redacted)"
		case strings.HasPrefix(name, "OTEL_"):
		case slices.Contains([]string{"PUBSUB_EMULATOR_HOST", "FIRESTORE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"}, name):
		default:
			continue
		}
		found = append(found, name+"="+redact.Text(value))
	}
	slices.Sort(found)
	return found
}
