package main

import (
	"fmt"

	"github.com/northstar-engines/realtime-registry/registry"
)

// counted returns a number with its noun: 1 line, 2 lines.
func counted[N int | int64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// count returns a number of resources of one kind, with its noun.
func count(n int64, kind registry.Kind) string {
	many := map[registry.Kind]string{registry.Thread: "threads", registry.Canvas: "canvases"}[kind]
	return counted(n, string(kind), many)
}
