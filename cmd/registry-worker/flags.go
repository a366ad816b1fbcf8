package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/spelling"
)

// newFlag makes the flag of a setting. It only keeps the value: package config
// checks all settings at once.
func newFlag(s config.Setting, given map[string]string) cli.Flag {
	f := &cli.GenericFlag{Name: s.Name, Value: &flagValue{setting: s, given: given}}
	f.SetStringer(func(cli.Flag) string { return helpLine(s) })
	return f
}

// retiredFlag makes the flag of a setting that no longer has an effect.
func retiredFlag(r config.Retired, given map[string]string) cli.Flag {
	return &cli.GenericFlag{Name: r.Name, Hidden: true, Value: &flagValue{setting: config.Setting{Name: r.Name}, given: given}}
}

// helpLine returns a setting as help shows it: the flag, a tab, a description.
func helpLine(s config.Setting) string {
	line := "--" + s.Name
	if !s.Bool {
		line += " value"
	}
	line += "\t" + s.Help
	if s.Default != "" && !s.Bool {
		line += " (default: " + s.Default
		if s.OnEmulator != "" {
			line += "; on the emulator " + s.OnEmulator
		}
		line += ")"
	}
	if s.FlagOnly {
		return line
	}
	return line + " [$" + s.Env + "]"
}

// flagValue is the value of a flag. The last one given counts.
type flagValue struct {
	setting config.Setting
	given   map[string]string
}

func (v *flagValue) Set(s string) error {
	v.given[v.setting.Name] = s
	return nil
}

func (v *flagValue) String() string   { return v.given[v.setting.Name] }
func (v *flagValue) Get() any         { return v }
func (v *flagValue) IsBoolFlag() bool { return v.setting.Bool }

// unknownFlag replaces the library's errors about flags by ours.
func unknownFlag(settings []config.Setting) cli.OnUsageErrorFunc {
	return func(_ context.Context, cmd *cli.Command, err error, _ bool) error {
		where := strings.TrimPrefix(cmd.FullName(), programName)
		name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
		if !unknown {
			return usagef("%w; see %s help%s", err, programName, where)
		}
		if where == "" && config.Known(name) {
			return usagef("--%s must stand after the command", name)
		}
		names := []string{"--help"}
		for _, s := range settings {
			names = append(names, "--"+s.Name)
		}
		if where != "" {
			where = where[1:] + ": "
		}
		return usagef("%sunknown flag --%s%s; see %s help %s", where, name, didYouMean(names, "--"+name), programName, strings.TrimSuffix(where, ": "))
	}
}

// didYouMean returns a suggestion, or "" if nothing is near.
func didYouMean(names []string, given string) string {
	best, distance := "", 1+len(given)/3
	for _, name := range names {
		if d := spelling.Distance(name, given); d <= distance && (best == "" || d < distance) {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}
