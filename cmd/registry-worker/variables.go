package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/spelling"
)

// ofOthers are variables that begin like ours and are not ours: those that
// Kubernetes gives to every pod beside a Service whose name begins with "registry"
// (kubernetes.io, "Accessing the Service", environment variables), and the API's
// address, as the examples in docs/ read it.
var ofOthers = regexp.MustCompile(`^REGISTRY_(URL|(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?))$`)

// misspelt returns a warning for every variable that is nearly one of ours, that no
// variable may set, or that is retired: without the warning it would silently have
// no effect.
func misspelt(environ []string) (warnings []string) {
	variables := map[string]string{} // by the names that people may try
	for _, s := range config.Settings() {
		name := strings.TrimPrefix(config.EnvName(s.Name), "REGISTRY_")
		variables[name] = cmp.Or(variables[name], s.Env) // two commands have --since, and only one of them takes it from a variable
	}
	retired := map[string]config.Retired{}
	for _, r := range config.RetiredIn(config.Groups()) {
		retired[config.EnvName(r.Name)] = r
	}
	given := map[string]bool{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		given[name] = value != ""
	}
	for name := range given {
		if meant := nearlyOf(name, given); meant != "" {
			warnings = append(warnings, fmt.Sprintf("%s is not a setting, did you mean %q?", name, meant))
		}
		rest, ours := strings.CutPrefix(name, "REGISTRY_")
		variable, exact := variables[rest]
		switch {
		case !ours || exact && variable == name || ofOthers.MatchString(name):
		case exact && variable == "":
			warnings = append(warnings, fmt.Sprintf("%s has no effect: give --%s", name, strings.ToLower(strings.ReplaceAll(rest, "_", "-"))))
		case exact:
			warnings = append(warnings, fmt.Sprintf("%s is not a setting, it is %s", name, variable))
		case retired[name].Name != "":
			warnings = append(warnings, retired[name].Warning(name))
		default:
			if near := nearest(variables, rest); near != "" {
				warnings = append(warnings, fmt.Sprintf("%s is not a setting, did you mean %q?", name, near))
			}
		}
	}
	slices.Sort(warnings)
	return warnings
}

// nearlyOf returns the variable of ours without the prefix REGISTRY_ that a name is
// nearly, or "". If that one is set too, the name is another program's.
func nearlyOf(name string, given map[string]bool) string {
	known := func(s config.Setting) bool { return s.Env == name }
	if strings.HasPrefix(name, "REGISTRY_") || slices.ContainsFunc(config.Settings(), known) {
		return ""
	}
	for _, s := range config.Settings() {
		if s.Env != "" && !strings.HasPrefix(s.Env, "REGISTRY_") && !given[s.Env] && spelling.Distance(s.Env, name) <= 3 {
			return s.Env
		}
	}
	return ""
}

// nearest returns the variable whose name is nearest, or "". The common prefix does
// not count.
func nearest(variables map[string]string, rest string) string {
	best, distance := "", len(rest)/3
	for name, variable := range variables {
		if d := spelling.Distance(name, rest); variable != "" && (d < distance || d == distance && (best == "" || variable < best)) {
			best, distance = variable, d
		}
	}
	return best
}
