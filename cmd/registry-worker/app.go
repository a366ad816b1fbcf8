package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
)

const programName = "registry-worker"

// process is the program's environment: its arguments, its variables and its
// standard streams.
type process struct {
	Args      []string // without the program's name
	LookupEnv func(name string) (string, bool)
	Environ   func() []string // "NAME=value"
	Stdin     io.Reader
	Stdout    io.Writer
	Stderr    io.Writer
}

// command is one command of the program, declared in its file.
type command struct {
	Name     string
	Args     string // the arguments after the flags, as help shows them; empty: none
	Summary  string
	Details  string
	Examples []string
	Groups   []config.Group // the settings that it takes
	Rules    []config.Rule  // checks of these settings
	Faulty   bool           // runs even if the configuration is faulty, to show it
	Port     bool           // listens at PORT, unless a setting says otherwise
	Service  bool           // runs until a signal, and goes on if its log cannot be written
	Daemon   bool           // a service that machines run, and whose log they read
	Run      func(ctx context.Context, in *invocation) error
	Sub      []command // commands below this one, whose names begin with its name; then it has no Run
}

// invocation is one call of a command, with its configuration checked.
type invocation struct {
	process
	Config *config.Config
	Args   []string // after the flags
	Logger *slog.Logger
	logAt  func(slog.Leveler) *slog.Logger // a Logger of another level

	adminOptions []option.ClientOption // of clients of Firestore's settings; tests have their own

	ledgerRate float64 // commits to the ledger a second; 0: the store's default

	firestore *firestoredb.Connection // of a service, shared by its stores; nil: each store has its own
}

// commands lists all commands, in the order in which help shows them.
func commands() []command {
	all := []command{
		runCommand, serveCommand, devCommand, provisionCommand, doctorCommand, publishCommand, replayCommand, verifyCommand,
		checkCommand, inspectCommand, exportCommand, movesCommand, tenantsCommand, deadLettersCommand, quotaCommand, upgradeCommand, recoverCommand,
		configCommand, capacityCommand, verifyHistoryCommand, versionCommand,
	}
	return append(all, manCommand(all))
}

// What help and the man pages say of the whole program, and of the command that the
// library has.
const (
	completionSummary = "print a script that has a shell complete commands and flags"

	rootSummary     = "who owns which thread and canvas: from Nexus events to access checks"
	rootDescription = "Nearly every flag is also an environment variable, named in each command's help;\n" +
		"the flag wins. `" + programName + " config` shows what takes effect. Commands that\n" +
		"write say where on their first line.\n\n" +
		"Exit codes: 0 done or drained, 1 fault, 2 usage or configuration."
)

// run runs the command that the arguments name.
func (p process) run(ctx context.Context) (err error) {
	defer func() { err = p.finish(err) }()
	root := &cli.Command{
		Name:        programName,
		Usage:       rootSummary,
		Version:     buildVersion().String(),
		Writer:      p.Stdout,
		ErrWriter:   p.Stderr,
		Description: rootDescription,
		UsageText:   command{Sub: commands()}.usage() + "\n" + programName + " help COMMAND",
		Action:      noCommand,

		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = completionSummary
		},

		OnUsageError:   unknownFlag(config.Settings()),
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // exit.go does
	}
	for _, c := range commands() {
		root.Commands = append(root.Commands, p.cli(c))
	}
	named := p.Args
	if len(named) > 1 && named[0] == "help" {
		named = named[1:]
	}
	if len(named) > 0 && !strings.HasPrefix(named[0], "-") && !isCommand(named[0]) {
		return unknownCommand(named[0]) // before its flags are parsed
	}
	return root.Run(ctx, append([]string{programName}, helpLast(p.Args)...))
}

// finish closes the outputs. If what a command printed could not be written, that
// is an error of the command.
func (p process) finish(err error) error {
	if stdout, ok := p.Stdout.(*output); ok {
		if stdout.nowhere() {
			p.warn("standard output was closed before the start, or is /dev/null: what was printed is nowhere")
		}
		stdout.Close()
	}
	c, _ := p.command()
	return lostOutput(err, p.Stdout, p.Stderr, c.Service)
}

// helpLast makes `moves plan --help` of `help moves plan`: the library's help
// takes one word.
func helpLast(args []string) []string {
	if len(args) < 2 || args[0] != "help" || !isCommand(args[1]) {
		return args
	}
	return append(slices.Clone(args[1:]), "--help")
}

// cli converts a command of ours into one of the library.
func (p process) cli(c command) *cli.Command {
	given := map[string]string{}
	settings := config.In(c.Groups)
	sub := &cli.Command{
		Name:            c.Name[strings.LastIndexByte(c.Name, ' ')+1:],
		Usage:           c.Summary,
		ArgsUsage:       c.Args,
		UsageText:       c.usage(),
		Description:     c.describe(),
		OnUsageError:    unknownFlag(settings),
		HideHelpCommand: true, // else a file named help could not be an argument
	}
	for _, s := range settings {
		sub.Flags = append(sub.Flags, newFlag(s, given))
	}
	for _, r := range config.RetiredIn(c.Groups) {
		sub.Flags = append(sub.Flags, retiredFlag(r, given))
	}
	if len(c.Sub) > 0 {
		return p.parent(c, sub)
	}
	sub.Action = func(ctx context.Context, cmd *cli.Command) error {
		if err := p.call(ctx, c, given, cmd.Args().Slice()); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		return nil
	}
	return sub
}

// parent makes a command that only has commands below it.
func (p process) parent(c command, sub *cli.Command) *cli.Command {
	var names []string
	for _, below := range c.Sub {
		sub.Commands = append(sub.Commands, p.cli(below))
		names = append(names, strings.TrimPrefix(below.Name, c.Name+" "))
	}
	sub.Action = func(_ context.Context, cmd *cli.Command) error {
		name := cmd.Args().First()
		if name == "" {
			return usagef("%s: no command; want %s; see %s help %s", c.Name, strings.Join(names, ", "), programName, c.Name)
		}
		return usagef("%s: unknown command %q%s; want %s", c.Name, name, didYouMean(names, name), strings.Join(names, ", "))
	}
	return sub
}

// usage is how the command is called.
func (c command) usage() string {
	name := strings.TrimSpace(programName + " " + c.Name)
	if len(c.Sub) > 0 {
		return name + " COMMAND [flags] [arguments]"
	}
	return strings.TrimSpace(name + " [flags] " + c.Args)
}

func (c command) describe() string {
	var b strings.Builder
	b.WriteString(c.Details + "\n\nExample:")
	for _, e := range c.Examples {
		b.WriteString("\n  " + e)
	}
	return b.String()
}

func (p process) call(ctx context.Context, c command, flags map[string]string, args []string) error {
	if c.Args == "" && len(args) > 0 {
		return usagef("takes no arguments, but was given %q; flags begin with --", args[0])
	}
	for _, warning := range misspelt(p.Environ()) {
		p.warn(warning)
	}
	for _, r := range config.RetiredIn(c.Groups) {
		if _, given := flags[r.Name]; given {
			p.warn(r.Warning("--" + r.Name))
		}
	}
	cfg, err := config.Load(config.Input{Flags: flags, LookupEnv: p.LookupEnv, Port: c.Port}, c.Groups, c.Rules...)
	in := &invocation{process: p, Config: cfg, Args: args}
	if err != nil {
		if c.Faulty {
			err = errors.Join(err, c.Run(ctx, in))
		}
		return err
	}
	in.logAt = func(level slog.Leveler) *slog.Logger { return p.newLogger(cfg, level) }
	in.Logger = in.logAt(cfg.LogLevel)
	err = c.Run(ctx, in)
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled) {
		return errInterrupted // the backend's error would add nothing
	}
	return err
}

// errInterrupted is the end of a command by a signal.
var errInterrupted = errors.New("interrupted")

func isCommand(name string) bool {
	return name == "help" || name == "h" || name == "completion" ||
		slices.ContainsFunc(commands(), func(c command) bool { return c.Name == name })
}

// command returns the command that the arguments name; false if there is none.
func (p process) command() (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return len(p.Args) > 0 && c.Name == p.Args[0] })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

func unknownCommand(name string) error {
	names := []string{"help"}
	for _, c := range commands() {
		names = append(names, c.Name)
	}
	return usagef("unknown command %q%s; see %s help", name, didYouMean(names, name), programName)
}

func noCommand(_ context.Context, cmd *cli.Command) error {
	if name := cmd.Args().First(); name != "" {
		return unknownCommand(name)
	}
	return usagef("no command; see %s help", programName)
}
