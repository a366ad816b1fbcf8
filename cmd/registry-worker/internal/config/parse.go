package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The parsers of settings. Each takes the field to set. Its error says what is
// allowed; the caller adds what was given.

type parser = func(c *Config, value string) error

func matching(pattern, want string, to func(*Config) *string) parser {
	re := regexp.MustCompile(pattern)
	return func(c *Config, value string) error {
		if !utf8.ValidString(value) || !re.MatchString(value) {
			return errors.New("want " + want)
		}
		*to(c) = value
		return nil
	}
}

// oneOf takes a word in any case, as all parsers of words do: REGISTRY_LOG_LEVEL
// is often INFO.
func oneOf(to func(*Config) *string, allowed ...string) parser {
	return func(c *Config, value string) error {
		value = strings.ToLower(value)
		if !slices.Contains(allowed, value) {
			return errors.New("want " + strings.Join(allowed[:len(allowed)-1], ", ") + " or " + allowed[len(allowed)-1])
		}
		*to(c) = value
		return nil
	}
}

func backend(to func(*Config) *Backend) parser {
	return func(c *Config, value string) error {
		b := Backend(strings.ToLower(value))
		if b != Firestore && b != Memory {
			return errors.New("want firestore or memory")
		}
		*to(c) = b
		return nil
	}
}

func level(c *Config, value string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	l, ok := levels[strings.ToLower(value)]
	if !ok {
		return errors.New("want debug, info, warn or error")
	}
	c.LogLevel = l
	return nil
}

func boolean(to func(*Config) *bool) parser {
	return func(c *Config, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("want true or false")
		}
		*to(c) = b
		return nil
	}
}

func integer(least, most int, to func(*Config) *int) parser {
	return func(c *Config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("want a whole number from %d to %d", least, most)
		}
		*to(c) = n
		return nil
	}
}

// number takes numbers from 0 on, such as 300e6 too.
func number(to func(*Config) *float64) parser {
	return func(c *Config, value string) error {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n >= 0) || math.IsInf(n, 0) {
			return errors.New("want a number from 0 on, such as 300e6")
		}
		*to(c) = n
		return nil
	}
}

func duration(least, most time.Duration, to func(*Config) *time.Duration) parser {
	return func(c *Config, value string) error {
		d, err := parseDuration(value)
		if err != nil || d < least || d > most {
			return fmt.Errorf("want a duration with its unit, such as 250ms, 20s, 5m or 7d, from %s to %s", least, most)
		}
		*to(c) = d
		return nil
	}
}

// parseDuration is time.ParseDuration, and takes days of 24 hours too, before all else:
// 400d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	const most = uint64(math.MaxInt64 / (24 * time.Hour))
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n >= most {
		return 0, errors.New("want a whole number of days")
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || more >= 24*time.Hour {
		return 0, errors.New("want less than a day behind the days")
	}
	return d + more, nil
}

// off also accepts 0, meaning disabled.
func off(parse parser) parser {
	return func(c *Config, value string) error {
		if d, err := parseDuration(value); err == nil && d == 0 {
			return nil
		}
		if err := parse(c, value); err != nil {
			return fmt.Errorf("%w, or 0", err)
		}
		return nil
	}
}

// NoMaxAge is a Config.MaxAge without a bound.
const NoMaxAge time.Duration = -1

// maxAge parses --max-age: registry follows what the registry says, 0 is no bound.
func maxAge(c *Config, value string) error {
	bound := duration(time.Second, 24*time.Hour, func(c *Config) *time.Duration { return &c.MaxAge })
	switch d, err := parseDuration(value); {
	case value == "registry":
		c.MaxAge = 0
		return nil
	case err == nil && d == 0:
		c.MaxAge = NoMaxAge
		return nil
	}
	if err := bound(c, value); err != nil {
		return fmt.Errorf("%w, or 0, or registry", err)
	}
	return nil
}

// Names of topics and subscriptions, as Pub/Sub allows them.
var (
	pubsubName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)
	errPubSub   = errors.New("want a letter, then 2 to 254 letters, digits or - . _ ~ + %, not beginning with goog")
	validPubSub = func(s string) bool { return pubsubName.MatchString(s) && !strings.HasPrefix(s, "goog") }
)

func name(to func(*Config) *string) parser {
	return func(c *Config, value string) error {
		if !validPubSub(value) {
			return errPubSub
		}
		*to(c) = value
		return nil
	}
}

func names(to func(*Config) *[]string) parser {
	return func(c *Config, value string) error {
		var list []string
		for n := range strings.SplitSeq(value, ",") {
			n = strings.TrimSpace(n)
			if !validPubSub(n) {
				return fmt.Errorf("%s: %w", quote(n), errPubSub)
			}
			if slices.Contains(list, n) {
				return fmt.Errorf("%s stands twice; want each once", quote(n))
			}
			list = append(list, n)
		}
		*to(c) = list
		return nil
	}
}

func address(to func(*Config) *string) parser {
	host := regexp.MustCompile(`^[A-Za-z0-9._:%-]*$`) // a name, an address, with a zone if need be, or nothing
	return func(c *Config, value string) error {
		name, port, err := net.SplitHostPort(value)
		if n, atoi := strconv.Atoi(port); err != nil || atoi != nil || n < 0 || n > 65535 || !host.MatchString(name) {
			return errors.New("want host:port, such as 127.0.0.1:8080")
		}
		*to(c) = value
		return nil
	}
}

// bearer is b64token of RFC 6750 §2.1: a token with other characters could not be
// sent.
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// minToken is the least length of a token that cannot be guessed: 16 characters of
// hex are 64 bits.
const minToken = 16

// ParseTokens parses one token, or two, separated by a comma or one a line.
func ParseTokens(text string) ([]string, error) {
	var list []string
	for _, token := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		switch {
		case !bearer.MatchString(token):
			return nil, errors.New("want letters, digits and - . _ ~ + /, with any = at the end (RFC 6750)")
		case len(token) < minToken:
			return nil, fmt.Errorf("want at least %d characters, such as `openssl rand -hex 16` prints", minToken)
		}
		list = append(list, token)
	}
	if len(list) > 2 {
		return nil, errors.New("want one token, or two while one replaces the other")
	}
	return list, nil
}

func tokens(to func(*Config) *[]string) parser {
	return func(c *Config, value string) (err error) {
		*to(c), err = ParseTokens(value)
		return err
	}
}

// optional also accepts an empty value.
func optional(parse parser) parser {
	return func(c *Config, value string) error {
		if value == "" {
			return nil
		}
		return parse(c, value)
	}
}
