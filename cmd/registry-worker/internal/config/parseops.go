package config

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/spelling"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The parsers of the settings of operators' commands.

func rate(c *Config, value string) (err error) {
	c.Rate, err = governor.Parse(value)
	return err
}

// pointInTime parses a time, or an age.
func pointInTime(to func(*Config) *time.Time) parser {
	return func(c *Config, value string) error {
		if value == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, value)
		if age, ageErr := parseDuration(value); ageErr == nil && age > 0 {
			at, err = time.Now().Add(-age), nil
		}
		if err != nil {
			return errors.New("want a time such as 2025-01-31T12:00:00Z, or an age such as 2h or 30d")
		}
		if at.After(time.Now()) {
			return errors.New("want a time in the past")
		}
		*to(c) = at
		return nil
	}
}

// pointOrDay is pointInTime for --at, which takes a day too.
func pointOrDay(c *Config, value string) error {
	day, err := time.Parse(time.DateOnly, value)
	switch now := time.Now().UTC().Truncate(time.Millisecond); {
	case err == nil && day.After(now):
		return errors.New("want a day that has begun")
	case err == nil:
		c.At, c.AtEnd = day, day.AddDate(0, 0, 1)
		if c.AtEnd.After(now) {
			c.AtEnd = now
		}
		return nil
	}
	if err := pointInTime(func(c *Config) *time.Time { return &c.At })(c, value); err != nil {
		return fmt.Errorf("%w, or a day such as 2025-01-31", err)
	}
	return nil
}

func tenant(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if value != "" && registry.ValidateTenant(value) != nil {
			return errors.New("want a tenant id, " + registry.TenantPattern)
		}
		*to(c) = value
		return nil
	}
}

func who(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if value != "" && ownership.ValidateBy(value) != nil {
			return fmt.Errorf("want at most %d bytes of printable text", ownership.MaxByBytes)
		}
		*to(c) = value
		return nil
	}
}

func note(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if ownership.ValidateNote(value) != nil {
			return fmt.Errorf("want at most %d bytes of printable text", ownership.MaxNoteBytes)
		}
		*to(c) = value
		return nil
	}
}

func reasons(to func(*Config) *[]events.Reason) parser {
	return func(c *Config, value string) error {
		for word := range list(value) {
			reason := events.Reason(strings.ToLower(word))
			if !slices.Contains(envelope.Reasons(), reason) {
				return unknownReason(value, word)
			}
			*to(c) = append(*to(c), reason)
		}
		return nil
	}
}

// unknownReason lists the reasons, and suggests the one that was meant.
func unknownReason(value, word string) error {
	text := "want reasons, by comma: " + join(envelope.Reasons())
	if strings.TrimSpace(value) != word {
		text = quote(word) + ": " + text
	}
	for _, r := range envelope.Reasons() {
		if spelling.Distance(string(r), strings.ToLower(word)) <= 1+len(word)/4 {
			return fmt.Errorf("did you mean %s? %s", r, text)
		}
	}
	return errors.New(text)
}

func join[S ~string](all []S) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

func words(to func(*Config) *[]string) parser {
	return func(c *Config, value string) error {
		if !utf8.ValidString(value) {
			return errors.New("want UTF-8")
		}
		*to(c) = slices.Collect(list(value))
		return nil
	}
}

// list yields the parts of a list with commas.
func list(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for word := range strings.SplitSeq(value, ",") {
			if word = strings.TrimSpace(word); word != "" && !yield(word) {
				return
			}
		}
	}
}

func anything(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if !utf8.ValidString(value) {
			return errors.New("want UTF-8")
		}
		*to(c) = value
		return nil
	}
}
