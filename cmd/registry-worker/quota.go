package main

import (
	"context"
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/limits"
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

// quotaRules are the checks of both commands.
var quotaRules = []config.Rule{
	config.NeedProject,
	config.NeedSharedThrottle("this process's memory is empty: want firestore"),
}

var quotaShowCommand = command{
	Name:    "quota show",
	Args:    "TENANT ACTION",
	Summary: "print a throttle window as the next request would find it",
	Details: "Prints how many of how many units are reserved (by requests, by the blocks that\n" +
		"processes hold, and for parts), until when, and whose policy sets the limit. Parts are\n" +
		"documents of their own, which a window gets if many processes share it; their units\n" +
		"count as reserved from the start (docs/throttle.md). Nothing is taken. Give\n" +
		"--throttle-policies if the service has it, for the limit of a window that has not\n" +
		"begun.",
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
		key, err := in.windowKey()
		if err != nil {
			return err
		}
		return in.withWindows(ctx, func(windows limits.Store) error {
			ctx, cancel := context.WithTimeout(ctx, startTimeout)
			defer cancel()
			policies, faults, err := limits.PoliciesNow(ctx, windows, in.Config.ThrottlePolicies)
			if err != nil {
				return err
			}
			for _, fault := range faults {
				fmt.Fprintln(in.Stderr, terminal.Plain(fmt.Sprint("refused policy: ", fault)))
			}
			status, err := limits.Show(ctx, windows, policies, key)
			if err != nil {
				return err
			}
			return in.printWindow(status, policies)
		})
	},
}

var quotaResetCommand = command{
	Name:    "quota reset",
	Args:    "TENANT ACTION",
	Summary: "start a throttle window anew, for all processes",
	Details: "The window begins anew with nothing counted, and the policy in force applies at once.\n" +
		"Every process learns of it within seconds. Blocks that processes hold at this moment\n" +
		"may be spent on top of the new window's limit.\n\n" +
		"It shows the window and asks first, or --yes. Who did it (--by) and when are kept with\n" +
		"the window, until its document expires, and shown by quota show. The action\n" +
		"all-actions is the window of all actions of the tenant together.",
	Examples: []string{
		"registry-worker quota reset --project my-project t_acme stream_connect",
		"registry-worker quota reset --project my-project --yes --by 'alice, ticket 4711' t_acme stream_connect",
	},
	Groups: []config.Group{config.ByGroup, config.ConfirmGroup, config.ProjectGroup, config.RegistryGroup, config.ThrottleGroup, config.LogGroup},
	Rules:  quotaRules,
	Run:    runQuotaReset,
}

func runQuotaReset(ctx context.Context, in *invocation) error {
	key, err := in.windowKey()
	if err != nil {
		return err
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	return in.withWindows(ctx, func(windows limits.Store) error {
		status, err := shown(ctx, windows, key)
		if err != nil {
			return err
		}
		if status.Exists {
			fmt.Fprintf(in.Stderr, "The window of %s has %s since %s, and would begin anew with nothing counted.\n"+
				"Units that processes hold at this moment may be spent on top.\n",
				key, counted(status.Stored.Count, "unit reserved", "units reserved"), windowTime(status.Stored.LastReset))
		} else {
			fmt.Fprintf(in.Stderr, "There is no window of %s yet, or it has expired: a new one begins in any case.\n", key)
		}
		if err := in.confirm(ctx, target, "reset this window?"); err != nil {
			return err
		}
		by := in.who()
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		w, err := limits.Reset(ctx, windows, key, by)
		if err != nil {
			return err
		}
		in.Logger.InfoContext(ctx, "throttle window reset", "tenant_id", key.Tenant, "action", key.Action,
			"by", by, "generation", w.Generation, "reserved_before", status.Stored.Count)
		fmt.Fprintf(in.Stdout, "%s: reset at %s by %s; nothing is counted\n", key, windowTime(w.LastReset), terminal.Quote(by))
		return nil
	})
}

// shown is a window as it is now, whatever the next one's policy is.
func shown(ctx context.Context, windows limits.Store, key limits.Key) (limits.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return limits.Show(ctx, windows, limits.PolicySet{}, key)
}

// windowKey returns the window that the arguments name.
func (in *invocation) windowKey() (limits.Key, error) {
	if len(in.Args) != 2 {
		return limits.Key{}, usagef("want a tenant and an action")
	}
	key := limits.Key{Tenant: in.Args[0], Action: in.Args[1]}
	if err := key.Validate(); err != nil {
		return limits.Key{}, usageError{err}
	}
	return key, nil
}

// withWindows opens the store of windows.
func (in *invocation) withWindows(ctx context.Context, f func(limits.Store) error) error {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	windows, err := in.openWindows(start, nil)
	if err != nil {
		return err
	}
	defer windows.Close()
	return f(windows)
}

// windowReport is a window in the form of --json.
type windowReport struct {
	Tenant     string     `json:"tenant_id"`
	Action     string     `json:"action"`
	Exists     bool       `json:"exists"` // there has been a request, and the document has not expired
	Count      int64      `json:"count"`  // units reserved, by requests, by blocks and for parts
	Limit      int64      `json:"limit"`
	Parts      int64      `json:"parts,omitempty"`      // documents for which units are set aside
	PartLimit  int64      `json:"part_limit,omitempty"` // units of each, all of them in count
	Window     string     `json:"window"`               // its length
	LastReset  time.Time  `json:"last_reset"`
	EndsAt     time.Time  `json:"ends_at"`
	Generation int64      `json:"generation"`         // grows with every reset
	Policy     string     `json:"policy"`             // whose limit the next window has
	Shadow     bool       `json:"shadow"`             // the policy counts and reports, and refuses nothing
	ResetBy    string     `json:"reset_by,omitempty"` // who reset it last, and when
	ResetAt    *time.Time `json:"reset_at,omitempty"`
	ReadTime   time.Time  `json:"read_time"`
}

func newWindowReport(s limits.Status, p limits.Policy) windowReport {
	return windowReport{
		Tenant: s.Key.Tenant, Action: s.Key.Action, Exists: s.Exists,
		Count: s.InForce.Count, Limit: s.InForce.Limit, Parts: s.InForce.Sharing.Parts, PartLimit: s.InForce.Sharing.PartLimit, Window: s.InForce.Length.String(),
		LastReset: secondsTime(s.InForce.LastReset), EndsAt: s.EndsAt, Generation: s.InForce.Generation,
		Policy: p.Scope(), Shadow: p.Shadow, ResetBy: s.Reset.By, ResetAt: unlessZero(s.Reset.At), ReadTime: s.ReadTime,
	}
}

func (in *invocation) printWindow(s limits.Status, policies limits.PolicySet) error {
	p := policies.Of(s.Key)
	r := newWindowReport(s, p)
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		lines.SetIndent("", "  ")
		return lines.Encode(r)
	}
	t := tabwriter.NewWriter(in.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "reserved\t%d of %d in %s\n", r.Count, r.Limit, r.Window)
	if r.Parts > 0 {
		fmt.Fprintf(t, "parts\t%d of %d units each: %d of what is reserved is for them\n", r.Parts, r.PartLimit, r.Parts*r.PartLimit)
	}
	switch {
	case !r.Exists:
		fmt.Fprintln(t, "window\tnone yet: there was no request, or it has expired")
	case s.InForce.ID() != s.Stored.At(s.ReadTime, p).ID() || s.Stored.LastReset != s.InForce.LastReset:
		fmt.Fprintf(t, "window\tended; the last one had %d reserved since %s\n", s.Stored.Count, windowTime(s.Stored.LastReset))
	default:
		fmt.Fprintf(t, "window\tsince %s, ends %s, in %s\n", windowTime(s.InForce.LastReset), r.EndsAt.Format(time.RFC3339), r.EndsAt.Sub(r.ReadTime).Round(time.Second))
	}
	if r.ResetBy != "" {
		fmt.Fprintf(t, "reset\tby %s at %s\n", terminal.Quote(r.ResetBy), r.ResetAt.Format(time.RFC3339))
	}
	shadow := ""
	if r.Shadow {
		shadow = ", shadow: refuses nothing"
	}
	unread := ""
	if in.Config.ThrottlePolicies == "" {
		unread = " (without --throttle-policies)"
	}
	total, bounded := policies.Total(s.Key.Tenant)
	if s.Key.Action == quota.TotalAction && !bounded {
		fmt.Fprintf(t, "policy\tnone%s: nothing bounds all actions of this tenant together\n", unread)
		return t.Flush()
	}
	fmt.Fprintf(t, "policy\t%s: %d per %s%s%s\n", r.Policy, p.Limit, p.Window, shadow, unread)
	if bounded && s.Key.Action != quota.TotalAction {
		fmt.Fprintf(t, "total\t%s: %d per %s: see quota show %s %s\n", total.Scope(), total.Limit, total.Window, s.Key.Tenant, quota.TotalAction)
	}
	if policies.Refuses(s.Key.Action) && s.Key.Action != quota.TotalAction {
		fmt.Fprintln(t, "closed\trequests are refused: no policy names this action, and the list of actions is closed")
	}
	return t.Flush()
}

// secondsTime returns the time of a last_reset, which is in seconds since 1970.
func secondsTime(seconds float64) time.Time {
	return time.UnixMicro(int64(seconds * 1e6)).UTC()
}

// windowTime returns a last_reset as people read it. One that another program has
// written may not be a time.
func windowTime(lastReset float64) string {
	if !(math.Abs(lastReset) < 1e11) { // the year 5138; NaN too
		return fmt.Sprintf("no time (last_reset is %v)", lastReset)
	}
	return secondsTime(lastReset).Format(time.RFC3339)
}
