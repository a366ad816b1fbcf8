//go:build proofs

package robustness

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// patience is how long a guarded stream goes on while nothing is known of it.
const patience = 2 * time.Second

// transport is a program in Python whose streams the guard ends. It asks one serve
// process, over a link of its own.
type transport struct {
	x       *installation
	name    string
	address string
	link    *wire.Link
	cmd     *exec.Cmd
}

func (x *installation) newTransport(i int, address string, registry *machine) *transport {
	link, err := wire.NewLink(registry.address)
	require.NoError(x.t, err)
	x.t.Cleanup(func() { _ = link.Close() })
	s := &transport{x: x, name: fmt.Sprint("transport-", i), address: address, link: link}
	_, port, _ := strings.Cut(address, ":")
	s.cmd = exec.Command(emulatortest.Python(x.t, "httpx, uvicorn"), "guard.py", port, fmt.Sprint(patience.Seconds()))
	s.cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "..", "clients", "python", "src"), "REGISTRY_URL=http://"+link.Addr())
	log, err := os.Create(filepath.Join(x.dir, s.name+".log"))
	require.NoError(x.t, err)
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	end, err := emulator.StartSupervised(s.cmd)
	require.NoError(x.t, err)
	x.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		end()
	})
	return s
}

// stream keeps streams open, one after the other, until the context ends.
func (s *transport) stream(ctx context.Context, by string) {
	for n := 0; ctx.Err() == nil; n++ {
		if r, tenant, ok := s.x.world.some(); ok {
			lasting, cancel := context.WithTimeout(ctx, time.Duration(5+s.x.world.chance(25))*time.Second)
			s.streamOnce(lasting, path(r), judge.Record{Type: judge.Stream, Name: fmt.Sprint(s.name, ".", by, ".", n), Of: s.name, Tenant: tenant, Resource: r.String()})
			cancel()
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

func (s *transport) streamOnce(ctx context.Context, path string, r judge.Record) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+strings.TrimPrefix(path, "/v1"), nil)
	if err != nil {
		s.x.t.Errorf("%v", err)
		return
	}
	request.Header.Set("X-Tenant", r.Tenant)
	request.Header.Set("Accept", "text/event-stream")
	r.At = now()
	answer, err := http.DefaultClient.Do(request)
	r.Until = now()
	if err != nil {
		s.x.history.record(r)
		return
	}
	defer answer.Body.Close()
	r.Status = answer.StatusCode
	s.x.history.record(r)
	if r.Status == http.StatusOK {
		s.follow(r.Name, r.At, bufio.NewScanner(answer.Body))
	}
}

// follow records some messages of a stream that was asked for at a time, the last one
// among them, and its end.
func (s *transport) follow(name string, since int64, lines *bufio.Scanner) {
	const often = int64(500 * time.Millisecond)
	event, recorded, last := "", int64(0), int64(0)
	ended := judge.Record{Type: judge.StreamEnded, Name: name}
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "event":
			event = value
		case field == "data" && event == "registry.closed":
			ended.Reason = value
		case field == "data":
			at, err := strconv.ParseInt(value, 10, 64)
			if err != nil || at < since {
				continue // the connection was cut in the middle of a line
			}
			if last = at; at-recorded >= often {
				recorded = at
				s.x.history.record(judge.Record{Type: judge.Message, At: at, Name: name})
			}
		}
	}
	if last > recorded {
		s.x.history.record(judge.Record{Type: judge.Message, At: last, Name: name})
	}
	ended.At = now()
	s.x.history.record(ended)
}

// Kinds of faults of transports.
const (
	transportPaused = "transport in Python paused"
	transportLink   = "link of a transport in Python broken"
)

// trouble breaks the link of the transport and stops its process, one after the other,
// until the context ends: each once at least.
func (s *transport) trouble(ctx context.Context, longest time.Duration) {
	breaks := []func(){s.link.Blackhole, s.link.Cut, s.link.HalfOpen, s.link.Refuse, func() { s.link.Delay(400 * time.Millisecond) }}
	for n := 0; ctx.Err() == nil || n < 2; n++ {
		sleep(ctx, time.Duration(s.x.world.chance(10_000))*time.Millisecond)
		lasts := time.Duration(1+s.x.world.chance(int(longest/time.Second))) * time.Second
		r := judge.Record{Type: judge.Fault, At: now(), Of: s.name, Kind: transportLink}
		if n%3 == 1 {
			r.Kind = transportPaused
			s.signal(syscall.SIGSTOP)
			time.Sleep(lasts)
			s.signal(syscall.SIGCONT)
		} else {
			breaks[s.x.world.chance(len(breaks))]()
			time.Sleep(lasts)
			s.link.Restore()
		}
		r.Until = now()
		s.x.history.record(r)
	}
}

func (s *transport) signal(signal syscall.Signal) {
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.x.t.Errorf("%s: %v", s.name, err)
	}
}
