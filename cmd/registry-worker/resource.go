package main

import (
	"strings"

	"github.com/northstar-engines/realtime-registry/registry"
)

// resourceOf returns the resource that arguments name: a kind and an id, or both in
// one, as other commands print them: thread/th_42.
func resourceOf(args []string) (registry.Resource, error) {
	if len(args) == 1 {
		if kind, id, ok := strings.Cut(args[0], "/"); ok {
			args = []string{kind, id}
		}
	}
	if len(args) != 2 {
		return registry.Resource{}, usagef("want a kind (thread or canvas) and an id, such as thread th_42, or thread/th_42")
	}
	r := registry.Resource{Kind: registry.Kind(args[0]), ID: args[1]}
	if err := r.Validate(); err != nil {
		return registry.Resource{}, usageError{err}
	}
	return r, nil
}
