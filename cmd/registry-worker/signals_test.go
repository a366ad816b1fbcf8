package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSignalsWithinASecondAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		draining, impatience := make(chan struct{}), make(chan os.Signal, 1)
		go func() { impatience <- impatient(signals, func() { close(draining) }) }()
		send := func(s os.Signal, after time.Duration) {
			time.Sleep(after)
			signals <- s
			synctest.Wait()
		}
		send(syscall.SIGINT, 0)
		<-draining
		for range 3 { // timeout(1), a terminal and a supervisor
			send(syscall.SIGTERM, 200*time.Millisecond)
			require.Empty(t, impatience)
		}
		send(syscall.SIGTERM, 600*time.Millisecond)
		require.Equal(t, syscall.SIGTERM, <-impatience)
	})
}
