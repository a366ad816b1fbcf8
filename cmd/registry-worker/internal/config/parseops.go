package config

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The parsers of what operators' commands take.

func rate(c *Config, value string) (err error) {
	c.Rate, err = governor.Parse(value)
	return err
}

// pointInTime takes a time, or how long ago that was.
func pointInTime(to func(*Config) *time.Time) parser {
	return func(c *Config, value string) error {
		if value == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, value)
		if age, ageErr := time.ParseDuration(value); ageErr == nil && age > 0 {
			at, err = time.Now().Add(-age), nil
		}
		if err != nil {
			return errors.New("want a time such as 2025-01-31T12:00:00Z, or an age such as 2h")
		}
		if at.After(time.Now()) {
			return errors.New("want a time that is past")
		}
		*to(c) = at
		return nil
	}
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

func anything(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if !utf8.ValidString(value) {
			return errors.New("want UTF-8")
		}
		*to(c) = value
		return nil
	}
}
