package emulator_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator"
	"github.com/northstar-engines/realtime-registry/emulator/internal/fakesdk"
)

// nothing is an environment without anything; bin is its PATH.
func nothing(t *testing.T) (bin string) {
	bin = t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("CLOUDSDK_ROOT_DIR", "")
	t.Setenv("JAVA_HOME", "")
	return bin
}

func TestWithoutTheEmulatorsTheErrorSaysWhatToType(t *testing.T) {
	nothing(t)
	_, err := emulator.Find()
	require.ErrorIs(t, err, emulator.ErrNotInstalled)
	require.ErrorContains(t, err, "gcloud, java not installed")
	require.ErrorContains(t, err, "apt-get install google-cloud-cli google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator")
	require.ErrorContains(t, err, "gcloud components install cloud-firestore-emulator pubsub-emulator")
	_, err = emulator.Start(t.Context(), emulator.Options{})
	require.ErrorIs(t, err, emulator.ErrNotInstalled)
}

func TestOnlyWhatIsMissingIsNamed(t *testing.T) {
	bin := nothing(t)
	root, _ := fakesdk.New(t)
	t.Setenv("CLOUDSDK_ROOT_DIR", root)
	_, err := emulator.Find()
	require.ErrorContains(t, err, "java not installed")

	fakesdk.Script(t, filepath.Join(bin, "java"), "")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "platform/pubsub-emulator")))
	_, err = emulator.Find()
	require.ErrorContains(t, err, "Pub/Sub emulator not installed")
}

func TestTheSDKIsFoundWhereverItIs(t *testing.T) {
	bin := nothing(t)
	gcloud := filepath.Join(bin, "gcloud")
	fakesdk.Script(t, filepath.Join(bin, "java"), "")
	first, _ := fakesdk.New(t)
	second, _ := fakesdk.New(t)
	second, err := filepath.EvalSymlinks(second)
	require.NoError(t, err)
	found := func() string {
		sdk, err := emulator.Find()
		require.NoError(t, err)
		return sdk.Root
	}

	fakesdk.Script(t, gcloud, "echo "+first)
	require.Equal(t, first, found(), "where gcloud says")

	fakesdk.Script(t, filepath.Join(second, "bin/gcloud"), "exit 1")
	require.NoError(t, os.Remove(gcloud))
	require.NoError(t, os.Symlink(filepath.Join(second, "bin/gcloud"), gcloud))
	require.Equal(t, second, found(), "where the link leads")

	t.Setenv("CLOUDSDK_ROOT_DIR", first)
	require.Equal(t, first, found(), "the variable wins")
}
