package config

import (
	"net"
	"net/netip"
	"strings"
)

// A Rule checks settings against each other, or against the needs of a command. A
// setting that could not be parsed is zero.
type Rule func(*Config) []Fault

// NeedProject refuses a configuration without a project, for which there is no
// default.
func NeedProject(c *Config) []Fault {
	e := c.entry("project")
	if e.Value != "" {
		return nil
	}
	return []Fault{{Entry: e, Want: "want the Google Cloud project id (any id will do for the emulators)"}}
}

// NeedSharedRegistry returns a rule that refuses the memory backend, for the given
// reason: a registry that no other process can see would be a trap.
func NeedSharedRegistry(reason string) Rule {
	return func(c *Config) []Fault {
		if c.RegistryBackend != Memory {
			return nil
		}
		return []Fault{{Entry: c.entry("registry-backend"), Want: reason}}
	}
}

// NeedSharedThrottle is NeedSharedRegistry for the throttle.
func NeedSharedThrottle(reason string) Rule {
	return func(c *Config) []Fault {
		if c.ThrottleBackend != Memory {
			return nil
		}
		return []Fault{{Entry: c.entry("throttle-backend"), Want: reason}}
	}
}

// WorkerWithoutAPI applies the rule if the worker does not serve the API.
func WorkerWithoutAPI(rule Rule) Rule {
	return func(c *Config) []Fault {
		if c.API {
			return nil
		}
		return rule(c)
	}
}

// WorkerWithAPI applies the rule if the worker serves the API.
func WorkerWithAPI(rule Rule) Rule {
	return func(c *Config) []Fault {
		if !c.API {
			return nil
		}
		return rule(c)
	}
}

// NeedTopicNames refuses subscriptions whose names do not contain their topic,
// which creating them needs.
func NeedTopicNames(c *Config) []Fault {
	for _, name := range c.Subscriptions {
		if topic, consumer, _ := strings.Cut(name, "."); topic == "" || consumer == "" {
			return []Fault{{Entry: c.entry("subscriptions"), Want: quote(name) + ": want TOPIC.CONSUMER, from which the topic is known"}}
		}
	}
	return nil
}

// NeedTokenOffLoopback refuses to serve the API to other machines without a
// token: the API trusts the tenant that its caller names (design §9).
func NeedTokenOffLoopback(c *Config) []Fault {
	if c.Listen == "" || Loopback(c.Listen) || c.entry("api-token").Value != "" || c.APITokenFile != "" {
		return nil
	}
	return []Fault{{Entry: c.entry("listen"), Want: "the API trusts its callers, so off loopback it demands a bearer token: set REGISTRY_API_TOKEN or REGISTRY_API_TOKEN_FILE, or listen on 127.0.0.1"}}
}

// OneSourceOfTokens refuses a token together with a file of tokens for the same
// purpose: it would be unclear which one counts.
func OneSourceOfTokens(c *Config) (faults []Fault) {
	for _, name := range []string{"api-token", "claim-token"} {
		if file := c.entry(name + "-file"); file.Value != "" && c.entry(name).Value != "" {
			faults = append(faults, Fault{Entry: file, Want: "--" + name + " is given too: want one of the two"})
		}
	}
	return faults
}

// TwoAddresses refuses --metrics-listen at the address of --listen.
func TwoAddresses(c *Config) []Fault {
	own := c.entry("metrics-listen")
	if _, port, err := net.SplitHostPort(c.MetricsListen); err != nil || port == "0" || c.MetricsListen != c.Listen {
		return nil
	}
	return []Fault{{Entry: own, Want: "--listen has this address: want one of its own"}}
}

// Loopback reports whether an address can be reached from this machine only. The
// only name that counts is localhost.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// NeedTenantsOrPlan is NeedTenants, unless a plan in a file names them.
func NeedTenantsOrPlan(c *Config) []Fault {
	if c.Plan != "" {
		return nil
	}
	return NeedTenants(c)
}

// OneSortOfNames refuses a list of resources together with another way to select
// them.
func OneSortOfNames(c *Config) []Fault {
	if c.Resources == "" || c.Kind == "" && c.MovedBy == "" {
		return nil
	}
	return []Fault{{Entry: c.entry("resources"), Want: "--kind or --moved-by is given too: want the list, or what finds the resources"}}
}

// NeedTenants refuses a plan without two different tenants.
func NeedTenants(c *Config) (faults []Fault) {
	for _, name := range []string{"from", "to"} {
		if e := c.entry(name); e.Value == "" {
			faults = append(faults, Fault{Entry: e, Want: "want a tenant id"})
		}
	}
	if c.From != "" && c.From == c.To {
		faults = append(faults, Fault{Entry: c.entry("to"), Want: "want another tenant than --from"})
	}
	return faults
}
