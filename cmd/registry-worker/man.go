package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	docs "github.com/urfave/cli-docs/v3"
	"github.com/urfave/cli/v3"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

// manCommand is the command that writes the pages of all commands and its own.
func manCommand(all []command) command {
	c := command{
		Name:    "man",
		Args:    "DIR",
		Summary: "write a man page for each command",
		Details: "Writes " + programName + ".1 and a page for each command, such as\n" +
			programName + "-moves-start.1, into the directory, which it creates. man finds them in\n" +
			"the directory man1 of what MANPATH names, or of ~/.local/share/man.",
		Examples: []string{
			"registry-worker man ~/.local/share/man/man1",
			"man registry-worker-moves-start",
		},
		Groups: []config.Group{config.LogGroup},
	}
	all = append(slices.Clone(all), c)
	c.Run = func(_ context.Context, in *invocation) error {
		if len(in.Args) != 1 {
			return usagef("want one directory")
		}
		return in.writePages(in.Args[0], all)
	}
	return c
}

func (in *invocation) writePages(dir string, all []command) error {
	pages, err := manPages(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(in.Stdout, "%d pages in %s\n", len(pages), dir)
	return err
}

// manTemplate is a page as the library fills it in, in Markdown. Its own is of a
// program with all its commands on one page.
const manTemplate = "% {{ .Command.Name }} 1 \"\" \"{{ .Command.Version }}\" \"registry-worker\"\n\n" +
	"# NAME\n\n{{ .Command.Name }} - {{ .Command.Usage }}\n\n" +
	"# SYNOPSIS\n\n```\n{{ .Command.UsageText }}\n```\n\n" +
	"# DESCRIPTION\n\n{{ .Command.Description }}\n" +
	"{{ if .GlobalArgs }}\n# OPTIONS\n{{ range .GlobalArgs }}\n{{ . }}{{ end }}{{ end }}" +
	"\n# SEE ALSO\n\n{{ .Command.ArgsUsage }}\n"

// manPages returns the pages by the names of their files.
func manPages(all []command) (map[string]string, error) {
	docs.MarkdownDocTemplate = manTemplate
	root := command{
		Summary: rootSummary, Details: rootDescription,
		Sub: append(slices.Clone(all), command{
			Name: "completion", Args: "bash|zsh|fish|pwsh", Summary: completionSummary, Details: "For bash: `source <(" + programName + " completion bash)`.",
		}),
	}
	pages := map[string]string{}
	return pages, addPages(pages, root, command{})
}

// addPages adds the pages of a command and of those below it.
func addPages(pages map[string]string, c, above command) error {
	for _, sub := range c.Sub {
		if err := addPages(pages, sub, c); err != nil {
			return err
		}
	}
	text, err := docs.ToManWithSection(documented(c, above), 1)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Name, err)
	}
	pages[pageName(c.Name)+".1"] = text
	return nil
}

// pageName is the name of a command's page: registry-worker-moves-start.
func pageName(command string) string {
	return strings.TrimSuffix(programName+"-"+strings.ReplaceAll(command, " ", "-"), "-")
}

// documented is a command as the library documents it: with what help says of its
// flags in the places that the library reads, and with texts in Markdown.
func documented(c, above command) *cli.Command {
	doc := &cli.Command{
		Name: pageName(c.Name), Usage: markdown(c.Summary), Version: buildVersion().Version, UsageText: c.usage(),
		Description: markdown(c.Details), ArgsUsage: "**" + pageName(above.Name) + "**(1)",
	}
	if c.Name == "" {
		doc.ArgsUsage = "https://github.com/northstar-engines/realtime-registry"
	}
	if len(c.Sub) > 0 {
		doc.Description += "\n\nCommands, each with a page of its own:"
	}
	for _, sub := range c.Sub {
		doc.Description += "\n\n**" + pageName(sub.Name) + "**(1): " + markdown(sub.Summary)
	}
	if len(c.Examples) > 0 {
		doc.Description += "\n\nExample:\n\n```\n" + strings.Join(c.Examples, "\n") + "\n```"
	}
	for _, s := range config.In(c.Groups) {
		help := markdown(s.Help)
		if !s.FlagOnly {
			help += " (variable: " + markdown(s.Env) + ")"
		}
		if s.Bool {
			doc.Flags = append(doc.Flags, &cli.BoolFlag{Name: s.Name, Usage: help})
			continue
		}
		doc.Flags = append(doc.Flags, &cli.StringFlag{Name: s.Name, Usage: help, DefaultText: markdown(s.Default)})
	}
	return doc
}

// markdown escapes what would be markup in a text. What stands between backquotes is
// code there too.
func markdown(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = escapeMarkdown.Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

var escapeMarkdown = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "|", `\|`, "~", `\~`)
