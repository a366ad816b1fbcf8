package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSignalsWithinASecondAreOneAndASIGTERMIsNoImpatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		draining, impatience := make(chan struct{}), make(chan os.Signal, 1)
		go func() { impatience <- impatient(signals, func(os.Signal) { close(draining) }) }()
		send := func(s os.Signal, after time.Duration) {
			time.Sleep(after)
			signals <- s
			synctest.Wait()
		}
		send(syscall.SIGTERM, 0)
		<-draining
		for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT} { // a terminal and a supervisor
			send(s, 200*time.Millisecond)
			require.Empty(t, impatience)
		}
		send(syscall.SIGTERM, time.Minute)
		require.Empty(t, impatience)
		send(syscall.SIGINT, time.Millisecond)
		require.Equal(t, os.Interrupt, <-impatience)
	})
}
