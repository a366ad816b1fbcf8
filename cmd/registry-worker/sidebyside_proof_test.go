//go:build proofs

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// The release that erased histories took what it did not understand for a plain
// set, and replaced whole documents.
func TestProofThatTheSideBySideTestNoticesWhatIsLeftOut(t *testing.T) {
	for name, test := range map[string]struct {
		edits []emulatortest.Edit
		lost  string
	}{
		"the mask": {[]emulatortest.Edit{
			{File: "internal/regstore/write.go", Old: "Mask: resourceFields,", New: ""},
		}, "region"},
		"the format check": {[]emulatortest.Edit{
			{File: "internal/ownership/format.go", Old: "if format < 0 || format > Format {", New: "if format < 0 {"},
			{File: "internal/regstore/codec.go", Old: "return ownership.UnreadRecord(r, format, err)", New: "return ownership.NewRecord(r.Document, r.TenantID, nil, nil, 0, r.UpdateTime)"},
		}, "pledged"},
	} {
		t.Run(name, func(t *testing.T) {
			last := emulatortest.Edited(t, test.edits...)
			require.ErrorContains(t, sideBySide(t, last, last, emulatortest.Edited(t, next...)), test.lost)
		})
	}
}
