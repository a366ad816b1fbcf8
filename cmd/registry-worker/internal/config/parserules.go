package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/console"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
)

// The parsers of --accept, --sources and --stream-paths.

// pairs calls f with both sides of each LEFT=RIGHT in a list separated by commas.
func pairs(value, want string, f func(left, right string) error) error {
	if value == "" {
		return nil
	}
	for pair := range strings.SplitSeq(value, ",") {
		left, right, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || left == "" || right == "" {
			return fmt.Errorf("%s: want %s, by comma", quote(pair), want)
		}
		if err := f(left, right); err != nil {
			return fmt.Errorf("%s: %w", quote(pair), err)
		}
	}
	return nil
}

func accept(c *Config, value string) error {
	accepted := map[string][]events.Type{}
	err := pairs(value, "SUBSCRIPTION=TYPE", func(subscription, name string) error {
		if !validPubSub(subscription) {
			return errPubSub
		}
		typ, err := publishedType(name)
		if err == nil && slices.Contains(accepted[subscription], typ) {
			err = errors.New("occurs twice; want it once")
		}
		accepted[subscription] = append(accepted[subscription], typ)
		return err
	})
	if err == nil && value != "" {
		c.Accept = accepted
	}
	return err
}

func sources(c *Config, value string) error {
	allowed := map[events.Type][]string{}
	err := pairs(value, "TYPE=PATTERN", func(name, pattern string) error {
		typ, err := publishedType(name)
		allowed[typ] = append(allowed[typ], pattern)
		return err
	})
	if err == nil && value != "" {
		c.Sources = allowed
	}
	return err
}

func publishedType(name string) (events.Type, error) {
	published := events.PublishedTypes()
	if typ := events.Type(name); slices.Contains(published, typ) {
		return typ, nil
	}
	return "", fmt.Errorf("want one of %s as the type", join(published))
}

// Accepted returns the types that each subscription carries: those of --accept,
// else the type of its default name. A subscription that is not in the map carries
// every type.
func (c *Config) Accepted() map[string][]events.Type {
	accepted := map[string][]events.Type{}
	for _, typ := range events.PublishedTypes() {
		accepted[typ.Subscription()] = []events.Type{typ}
	}
	for subscription, types := range c.Accept {
		accepted[subscription] = types
	}
	return accepted
}

// NeedAcceptedSubscriptions refuses an --accept whose subscription is not one of
// --subscriptions. The name is probably misspelt, and the intended subscription
// would carry every type.
func NeedAcceptedSubscriptions(c *Config) (faults []Fault) {
	for subscription := range c.Accept {
		if !slices.Contains(c.Subscriptions, subscription) {
			faults = append(faults, Fault{Entry: c.entry("accept"), Want: quote(subscription) + " is none of --subscriptions"})
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Want, b.Want) })
	return faults
}

// maxPathsFile bounds a file of paths, in bytes: it has room for some thousands.
const maxPathsFile = 1 << 20

// streamPaths parses patterns separated by commas, or in a file, one a line. Lines
// that are empty or begin with # are skipped.
func streamPaths(c *Config, value string) error {
	texts := strings.Split(value, ",")
	if name, ok := strings.CutPrefix(value, "@"); ok {
		text, err := readPaths(name)
		if err != nil {
			return fmt.Errorf("want a file of paths, one a line: %w", err)
		}
		texts = slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
			line = strings.TrimSpace(line)
			return line == "" || line[0] == '#'
		})
	}
	for i := range texts {
		texts[i] = strings.TrimSpace(texts[i])
	}
	paths, err := streampath.Parse(texts)
	c.StreamPaths = paths
	return err
}

func readPaths(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxPathsFile: // a pipe may block
		return "", fmt.Errorf("%s is not a regular file of at most %d bytes", name, maxPathsFile)
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// peers parses base URLs, separated by commas; none if empty.
func peers(c *Config, value string) error {
	if value == "" {
		return nil
	}
	for given := range strings.SplitSeq(value, ",") {
		peer := strings.TrimSpace(given)
		if err := console.CheckPeer(peer); err != nil {
			return err
		}
		c.ConsolePeers = append(c.ConsolePeers, peer)
	}
	return nil
}

// defaultSubscriptions returns the subscription of every published type.
func defaultSubscriptions() string {
	var names []string
	for _, typ := range events.PublishedTypes() {
		names = append(names, typ.Subscription())
	}
	return strings.Join(names, ",")
}
