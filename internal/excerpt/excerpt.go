// Package excerpt quotes what a caller sent, so that an error stays readable.
package excerpt

import "fmt"

// Quote returns s quoted as by %q, or its first 64 bytes and its length if it
// is longer.
func Quote(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
