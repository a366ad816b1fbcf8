// Package licenses has the licences and notices of everything that is linked into
// registry-worker, which they ask to go with it.
package licenses

import _ "embed"

//go:generate go run ./collect third_party.txt

// Text names each module with its licence and notices in full; texts that several
// have stand once.
//
//go:embed third_party.txt
var Text string
