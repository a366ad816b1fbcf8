package emulator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// machine is a PATH with nothing on it but the programs that the test puts
// there, each of which notes that it was called.
type machine struct {
	t        *testing.T
	bin, log string
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, bin: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}
	for _, program := range []string{"bash", "dirname"} {
		for _, dir := range []string{"/bin", "/usr/bin"} {
			if _, err := os.Stat(filepath.Join(dir, program)); err == nil {
				require.NoError(t, os.Symlink(filepath.Join(dir, program), filepath.Join(m.bin, program)))
				break
			}
		}
	}
	// The check succeeds once something was installed.
	m.put("go", `[ -e "`+m.log+`.installed" ] || { echo HOW TO INSTALL >&2; exit 1; }`)
	return m
}

func (m *machine) put(program, script string) {
	text := "#!/bin/sh\n[ " + program + " = go ] || echo " + program + ` "$@" >>"` + m.log + "\"\n" + script + "\n"
	require.NoError(m.t, os.WriteFile(filepath.Join(m.bin, program), []byte(text), 0o700))
}

// installs is a script that installs.
func (m *machine) installs() string { return `: >"` + m.log + `.installed"` }

func (m *machine) install() (code int, p *emulatortest.Process, called []string) {
	p = emulatortest.Run(m.t, []string{"PATH=" + m.bin}, "./install.sh")
	code = p.Wait(time.Minute)
	text, _ := os.ReadFile(m.log)
	return code, p, strings.Split(strings.TrimSpace(string(text)), "\n")
}

const apt = "apt-get install --yes --no-install-recommends google-cloud-cli google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator default-jre-headless"

func TestInstallDoesNothingWhereTheEmulatorsAre(t *testing.T) {
	m := newMachine(t)
	m.put("go", "exit 0")
	m.put("apt-get", "")
	code, p, called := m.install()
	require.Equal(t, 0, code)
	require.Equal(t, []string{""}, called)
	require.Contains(t, p.Stdout.String(), "are installed")
}

func TestInstallTakesAptWhereItHasThePackages(t *testing.T) {
	m := newMachine(t)
	m.put("id", "echo 0")
	m.put("apt-cache", "")
	m.put("apt-get", `[ "$1" = update ] || `+m.installs())
	code, _, called := m.install()
	require.Equal(t, 0, code)
	require.Contains(t, called, apt)
}

func TestInstallUsesSudoOnlyWhereItAsksForNoPassword(t *testing.T) {
	m := newMachine(t)
	m.put("id", "echo 1000")
	m.put("apt-cache", "")
	m.put("apt-get", `[ "$1" = update ] || `+m.installs())
	m.put("sudo", `shift; "$@"`)
	code, _, called := m.install()
	require.Equal(t, 0, code)
	require.Contains(t, called, "sudo -n "+apt)

	m = newMachine(t)
	m.put("id", "echo 1000")
	m.put("apt-get", m.installs())
	m.put("sudo", "exit 1")
	code, p, called := m.install()
	require.Equal(t, 1, code)
	require.NotContains(t, strings.Join(called, "\n"), "apt-get")
	require.Contains(t, p.Stderr.String(), "HOW TO INSTALL")
}

func TestInstallTakesGcloudWhereAptHasNoPackages(t *testing.T) {
	m := newMachine(t)
	m.put("id", "echo 0")
	m.put("apt-get", "")
	m.put("apt-cache", "exit 100")
	m.put("gcloud", m.installs())
	code, _, called := m.install()
	require.Equal(t, 0, code)
	require.NotContains(t, called, apt)
	require.Contains(t, called, "gcloud components install --quiet cloud-firestore-emulator pubsub-emulator")
}

func TestInstallFailsAndSaysWhatToTypeWhereNothingHelps(t *testing.T) {
	m := newMachine(t)
	m.put("id", "echo 0")
	m.put("gcloud", "echo the component manager is disabled; exit 1")
	code, p, _ := m.install()
	require.Equal(t, 1, code)
	require.Contains(t, p.Stderr.String(), "could not install the emulators\nHOW TO INSTALL")
}
