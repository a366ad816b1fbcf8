package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// watched is a progress whose clock the test moves.
func watched(terminal bool) (p *progress, out *bytes.Buffer, pass func(time.Duration)) {
	out = &bytes.Buffer{}
	now := noon
	p = newProgress(out, "event", "published")
	p.terminal, p.began, p.now = terminal, now, func() time.Time { return now }
	return p, out, func(d time.Duration) { now = now.Add(d) }
}

func TestATerminalGetsABarWithRateAndTimeLeft(t *testing.T) {
	p, out, pass := watched(true)
	pass(10 * time.Second)
	p.at(500, 250, 1000)
	require.Equal(t, "\r[#######-----------------------]  25% 500 events published, 50/s, 30s left\x1b[K", out.String())

	out.Reset()
	p.at(501, 251, 1000)
	require.Empty(t, out.String(), "not for every event")
	pass(redrawEvery)
	p.at(502, 251, 1000)
	require.NotEmpty(t, out.String())
}

func TestAPlainOutputGetsALineNowAndThen(t *testing.T) {
	p, out, pass := watched(false)
	pass(lineEvery - time.Millisecond)
	p.at(1, 1, 10)
	p.clear()
	require.Empty(t, out.String())
	pass(time.Millisecond)
	p.at(100, 5, 10)
	require.Equal(t, "50% 100 events published, 20/s, 5s left\n", out.String())
}

func TestWithoutATotalThereIsNoTimeLeft(t *testing.T) {
	p, out, pass := watched(true)
	pass(10 * time.Second)
	p.at(500, 250, -1)
	require.Equal(t, "\r 500 events published, 50/s\x1b[K", out.String())
}

func TestTheEndTellsTheTotal(t *testing.T) {
	p, out, pass := watched(false)
	pass(2 * time.Second)
	p.end(3)
	require.Equal(t, "3 events published in 2s, 2/s\n", out.String())
	out.Reset()
	p, out, _ = watched(false)
	p.end(0)
	require.Equal(t, "0 events published\n", out.String())
	p, out, pass = watched(false)
	pass(time.Second)
	p.end(1)
	require.Equal(t, "1 event published in 1s, 1/s\n", out.String())
}
