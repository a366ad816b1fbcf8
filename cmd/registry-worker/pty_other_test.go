//go:build !linux

package main

import (
	"os"
	"testing"
)

// Elsewhere these calls differ from system to system.
const linuxAlone = "needs the terminals and pipes of Linux"

func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	t.Skip(linuxAlone)
	return nil, nil
}

func unread(t *testing.T, _ *os.File) int {
	t.Helper()
	t.Skip(linuxAlone)
	return 0
}
