package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// newLogger returns the log of a command with this configuration.
func (p process) newLogger(c *config.Config, level slog.Leveler) *slog.Logger {
	return telemetry.NewLogger(p.Stderr, telemetry.LogOptions{Format: p.logFormat(c.LogFormat), Level: level, Project: c.Project})
}

// logFormat returns the format of the log for a value of --log-format.
func (p process) logFormat(setting string) string {
	c, _ := p.command()
	return telemetry.LogFormat(setting, p.Stderr, c.Daemon, p.LookupEnv)
}

// earlyLog returns the log for messages outside of a command, whose arguments may
// be at fault. It is nil if the format is text: then such lines have neither time
// nor level.
func (p process) earlyLog() *slog.Logger {
	format := p.logFormat(p.givenLogFormat())
	if format == telemetry.Text {
		return nil
	}
	return telemetry.NewLogger(p.Stderr, telemetry.LogOptions{Format: format})
}

// givenLogFormat finds the value of --log-format, whatever else is wrong.
func (p process) givenLogFormat() string {
	const name = "log-format"
	for i, arg := range slices.Backward(p.Args) {
		flag, value, joined := strings.Cut(arg, "=")
		if strings.TrimLeft(flag, "-") != name || flag == name {
			continue
		}
		if !joined && i+1 < len(p.Args) {
			value = p.Args[i+1]
		}
		return strings.ToLower(value)
	}
	value, _ := p.LookupEnv(config.EnvName(name))
	return strings.ToLower(value)
}

// warn reports what the user should know, and does not end the command.
func (p process) warn(text string) {
	if log := p.earlyLog(); log != nil {
		log.Warn(text)
		return
	}
	fmt.Fprintln(p.Stderr, "warning: "+text)
}

// fatal reports why the process ends with this exit code.
func (p process) fatal(text string, code int) {
	if log := p.earlyLog(); log != nil {
		log.Log(context.Background(), telemetry.LevelFatal, text, "exit_code", code)
		return
	}
	fmt.Fprintln(p.Stderr, terminal.Plain(text))
}
