package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/quota"
)

var quotaCommand = command{
	Name:    "quota",
	Summary: "a tenant's throttle window: look at it, or start it anew",
	Details: "Windows and policies are explained in docs/throttle.md.",
	Examples: []string{
		"registry-worker quota show --project my-project t_acme stream_connect",
		"registry-worker quota reset --project my-project t_acme stream_connect",
	},
	Sub: []command{quotaShowCommand, quotaResetCommand},
}

// quotaRules is what must hold for both of them.
var quotaRules = []config.Rule{
	config.NeedProject,
	config.NeedSharedThrottle("this process's memory is empty: want firestore"),
}

var quotaShowCommand = command{
	Name:    "quota show",
	Args:    "TENANT ACTION",
	Summary: "print a throttle window as the next request would find it",
	Details: "Prints how many units are claimed, by requests and by the blocks that processes\n" +
		"hold, of how many, until when, and whose policy says so. Nothing is taken. Give\n" +
		"--throttle-policies where the service has it, for the limit of a window that has\n" +
		"not begun.",
	Examples: []string{
		"registry-worker quota show --project my-project t_acme stream_connect",
		"registry-worker quota show --project my-project --json t_acme stream_connect",
	},
	Groups: []config.Group{config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.ThrottleGroup, config.LogGroup},
	Rules:  quotaRules,
	Run: func(ctx context.Context, in *invocation) error {
		if err := checkPolicies(in.Config.ThrottlePolicies); err != nil {
			return err
		}
		return in.withWindow(ctx, func(ctx context.Context, windows quota.Store, key quota.Key) error {
			policies, faults, err := quota.PoliciesNow(ctx, windows, in.Config.ThrottlePolicies)
			if err != nil {
				return err
			}
			for _, fault := range faults {
				fmt.Fprintln(in.Stderr, terminal.Plain(fmt.Sprint("refused policy: ", fault)))
			}
			status, err := quota.Show(ctx, windows, policies, key)
			if err != nil {
				return err
			}
			return in.printWindow(status, policies.Of(key))
		})
	},
}

var quotaResetCommand = command{
	Name:    "quota reset",
	Args:    "TENANT ACTION",
	Summary: "start a throttle window anew, for all processes",
	Details: "From now on nothing is counted in the window, and the policy in force counts at\n" +
		"once. Every process hears of it within seconds. Blocks that processes hold at this\n" +
		"moment may be spent on top of the new window's limit.",
	Examples: []string{
		"registry-worker quota reset --project my-project t_acme stream_connect",
	},
	Groups: []config.Group{config.ProjectGroup, config.RegistryGroup, config.ThrottleGroup, config.LogGroup},
	Rules:  quotaRules,
	Run: func(ctx context.Context, in *invocation) error {
		in.tellTarget(in.firestoreTarget())
		return in.withWindow(ctx, func(ctx context.Context, windows quota.Store, key quota.Key) error {
			w, err := quota.Reset(ctx, windows, key)
			if err != nil {
				return err
			}
			fmt.Fprintf(in.Stdout, "%s: reset at %s; nothing is counted\n", key, windowTime(w.LastReset))
			return nil
		})
	},
}

// withWindow opens where windows are kept, for the one that the arguments name.
func (in *invocation) withWindow(ctx context.Context, f func(context.Context, quota.Store, quota.Key) error) error {
	if len(in.Args) != 2 {
		return usagef("want a tenant and an action")
	}
	key := quota.Key{Tenant: in.Args[0], Action: in.Args[1]}
	if err := key.Validate(); err != nil {
		return usageError{err}
	}
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	windows, err := in.openWindows(start)
	if err != nil {
		return err
	}
	defer windows.Close()
	return f(start, windows, key)
}

// windowReport is a window as --json prints it.
type windowReport struct {
	Tenant     string    `json:"tenant_id"`
	Action     string    `json:"action"`
	Exists     bool      `json:"exists"` // somebody has asked, and the document has not expired
	Count      int64     `json:"count"`  // units claimed, by requests and by blocks
	Limit      int64     `json:"limit"`
	Window     string    `json:"window"` // its length
	LastReset  time.Time `json:"last_reset"`
	EndsAt     time.Time `json:"ends_at"`
	Generation int64     `json:"generation"` // grows with every reset
	Policy     string    `json:"policy"`     // whose limit the next window has
	Shadow     bool      `json:"shadow"`     // the policy counts and reports, and refuses nothing
	ReadTime   time.Time `json:"read_time"`
}

func (in *invocation) printWindow(s quota.Status, p quota.Policy) error {
	r := windowReport{
		Tenant: s.Key.Tenant, Action: s.Key.Action, Exists: s.Exists,
		Count: s.InForce.Count, Limit: s.InForce.Limit, Window: s.InForce.Length.String(),
		LastReset: secondsTime(s.InForce.LastReset), EndsAt: s.EndsAt, Generation: s.InForce.Generation,
		Policy: p.Scope(), Shadow: p.Shadow, ReadTime: s.ReadTime,
	}
	if in.Config.JSON {
		lines := json.NewEncoder(in.Stdout)
		lines.SetEscapeHTML(false)
		lines.SetIndent("", "  ")
		return lines.Encode(r)
	}
	t := tabwriter.NewWriter(in.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "claimed\t%d of %d in %s\n", r.Count, r.Limit, r.Window)
	switch {
	case !r.Exists:
		fmt.Fprintln(t, "window\tnone yet: nobody has asked, or it has expired")
	case s.InForce.ID() != s.Stored.At(s.ReadTime, p).ID() || s.Stored.LastReset != s.InForce.LastReset:
		fmt.Fprintf(t, "window\tended; the last one had %d claimed since %s\n", s.Stored.Count, windowTime(s.Stored.LastReset))
	default:
		fmt.Fprintf(t, "window\tsince %s, ends %s, in %s\n", windowTime(s.InForce.LastReset), r.EndsAt.Format(time.RFC3339), r.EndsAt.Sub(r.ReadTime).Round(time.Second))
	}
	shadow := ""
	if r.Shadow {
		shadow = ", shadow: refuses nothing"
	}
	unread := ""
	if in.Config.ThrottlePolicies == "" {
		unread = " (without --throttle-policies)"
	}
	fmt.Fprintf(t, "policy\t%s: %d per %s%s%s\n", r.Policy, p.Limit, p.Window, shadow, unread)
	return t.Flush()
}

// secondsTime is the time of a last_reset, which is in seconds since 1970.
func secondsTime(seconds float64) time.Time {
	return time.UnixMicro(int64(seconds * 1e6)).UTC()
}

func windowTime(lastReset float64) string { return secondsTime(lastReset).Format(time.RFC3339) }
