package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens the address of the HTTP server. Where another program has it the
// error says what to do.
func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		return nil, fmt.Errorf("--listen %s: another program listens there; choose another port with --listen or REGISTRY_LISTEN (%s takes any that is free): %w",
			address, net.JoinHostPort(host, "0"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	return listener, nil
}
