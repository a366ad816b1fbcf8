package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
)

// tokenEvery is how often the files of tokens are read again.
const tokenEvery = 10 * time.Second

// tokens are the tokens that requests and claims must carry.
type tokens struct{ api, claim []string }

// readTokens returns the tokens given by flags, or in the files that flags name.
func readTokens(c *config.Config) (t tokens, err error) {
	if t.api, err = fromFile("api-token-file", c.APITokenFile, c.APITokens); err != nil {
		return t, err
	}
	t.claim, err = fromFile("claim-token-file", c.ClaimTokenFile, c.ClaimTokens)
	return t, err
}

func fromFile(flag, file string, given []string) ([]string, error) {
	if file == "" {
		return given, nil
	}
	// A pipe may block, and could not be read again.
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, usagef("--%s %s: want a regular file: it is read again every %s", flag, file, tokenEvery)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	read, err := config.ParseTokens(string(text))
	if err == nil && len(read) == 0 {
		err = fmt.Errorf("want one token, or two, a line each; it is empty")
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--%s %s: %w", flag, file, err)}
	}
	return read, nil
}

// followTokens gives the server the tokens of the files whenever they change, until
// ctx ends. A fault of a file is logged, once, and changes nothing.
func (s *service) followTokens(ctx context.Context, server *api.Server, now tokens, every time.Duration) {
	if s.in.Config.APITokenFile == "" && s.in.Config.ClaimTokenFile == "" {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		read, err := readTokens(s.in.Config)
		if err == nil && slices.Equal(read.api, now.api) && slices.Equal(read.claim, now.claim) {
			told = ""
			continue
		}
		if err == nil {
			err = server.SetTokens(read.api, read.claim)
		}
		switch {
		case err == nil:
			now, told = read, ""
			s.in.Logger.Info("tokens changed", "api_tokens", len(read.api), "claim_tokens", len(read.claim))
		case err.Error() != told:
			told = err.Error()
			s.in.Logger.Error("tokens cannot be read: the previous ones stay", "error", err)
		}
	}
}
