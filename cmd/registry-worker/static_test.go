package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// An image without a C library runs it.
func TestWhatMakeBuildsIsStaticAndCarriesItsLicences(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("looks at ELF, which Linux alone has of the systems that we build for")
	}
	binary := filepath.Join(t.TempDir(), "registry-worker")
	build := exec.Command(emulatortest.Program(t, "make"), "-C", "../..", "--silent", "build", "BINARY="+binary, "PGO=off")
	build.Env = append(os.Environ(), "CGO_ENABLED=1", "MAKEFLAGS=")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	program, err := elf.Open(binary)
	require.NoError(t, err)
	defer program.Close()
	for _, p := range program.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it needs a dynamic linker")
	}
	out, err = exec.Command(binary, "version", "--licenses").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "google.golang.org/grpc")
}
