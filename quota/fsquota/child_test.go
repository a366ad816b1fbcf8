package fsquota_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/fsquota"
)

// The test binary is a program of its own if childVariable is set: it uses
// the throttle as its task says, prints what it was told, one JSON a line, and
// closes the limiter at SIGTERM.
const childVariable = "QUOTA_TEST_CHILD"

const childAction = "chat_send"

// task is what a child does.
type task struct {
	Tenants []string
	Policy  quota.Policy
	// Forever: ask on after a refusal, every millisecond, until SIGTERM.
	Forever bool
	// Pause between requests that are allowed.
	Pause time.Duration
}

// told is what a child was told.
type told struct {
	Tenant   string
	Decision quota.Decision
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(text string) error {
	var do task
	if err := json.Unmarshal([]byte(text), &do); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := fsquota.Open(ctx, fsquota.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		return err
	}
	defer store.Close()
	limiter, err := quota.New(store, quota.Options{Policies: []quota.Policy{do.Policy}, Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	for _, tenant := range do.Tenants {
		if err := askAll(ctx, limiter, tenant, do); err != nil {
			return err
		}
	}
	closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return limiter.Close(closing)
}

// askAll prints what is allowed, and the first refusal in each window.
func askAll(ctx context.Context, limiter *quota.Limiter, tenant string, do task) error {
	out := json.NewEncoder(os.Stdout)
	var refused quota.WindowID
	for ctx.Err() == nil {
		d, err := limiter.Allow(context.WithoutCancel(ctx), tenant, childAction)
		if err != nil {
			return err
		}
		if d.Allowed || d.Window != refused {
			if err := out.Encode(told{tenant, d}); err != nil {
				return err
			}
		}
		switch {
		case !d.Allowed && !do.Forever:
			return nil
		case !d.Allowed:
			refused = d.Window
			time.Sleep(time.Millisecond)
		default:
			time.Sleep(do.Pause)
		}
	}
	return nil
}

func start(t *testing.T, project emulatortest.Project, do task) *emulatortest.Process {
	text, err := json.Marshal(do)
	require.NoError(t, err)
	return emulatortest.Run(t, append(project.Environ(), childVariable+"="+string(text)), os.Args[0])
}

// decisions is what a child was told so far. A killed child's last line may be
// cut off.
func decisions(t *testing.T, p *emulatortest.Process) (all []told) {
	for line := range strings.Lines(p.Stdout.String()) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		var d told
		require.NoError(t, json.Unmarshal([]byte(line), &d), line)
		all = append(all, d)
	}
	return all
}

func admitted(all []told, tenant string) (n int) {
	for _, d := range all {
		if d.Tenant == tenant && d.Decision.Allowed {
			n++
		}
	}
	return n
}
