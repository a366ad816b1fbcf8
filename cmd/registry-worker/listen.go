package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
)

// listen opens the address of an HTTP server, given by a flag. If another program
// has it, the error says what to do.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	listener, err := api.ListenConfig().Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		return nil, fmt.Errorf("--%s %s: another program listens there; choose another port with --%s or %s (%s takes any that is free): %w",
			flag, address, flag, config.EnvName(flag), net.JoinHostPort(host, "0"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, address, err)
	}
	return listener, nil
}
