package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotInstalled: an emulator, or the Java that it needs, is not installed. The
// message says which, and what to type.
var ErrNotInstalled = errors.New("not installed")

// An SDK says where the emulators are.
type SDK struct {
	Root      string // of the Google Cloud SDK
	Firestore string // the launcher
	PubSub    string // the launcher
}

// The launchers, relative to the root of the SDK.
const (
	firestoreLauncher = "platform/cloud-firestore-emulator/cloud_firestore_emulator"
	pubsubLauncher    = "platform/pubsub-emulator/bin/cloud-pubsub-emulator"
)

// Find looks for the emulators in CLOUDSDK_ROOT_DIR, else beside the gcloud on
// PATH, else where gcloud says that it is installed. The error wraps
// ErrNotInstalled.
func Find() (SDK, error) {
	sdk, missing := find()
	if !haveJava() {
		missing = append(missing, "java")
	}
	if len(missing) > 0 {
		return SDK{}, fmt.Errorf("%s %w:\n%s", strings.Join(missing, ", "), ErrNotInstalled, howToInstall)
	}
	return sdk, nil
}

const howToInstall = `  on Debian and Ubuntu, with Google's package source (https://cloud.google.com/sdk/docs/install#deb):
    sudo apt-get install google-cloud-cli google-cloud-cli-firestore-emulator google-cloud-cli-pubsub-emulator default-jre-headless
  where gcloud manages its own components:
    gcloud components install cloud-firestore-emulator pubsub-emulator
    and Java 11 or later, for example: brew install openjdk
  an SDK that is not on PATH is found by CLOUDSDK_ROOT_DIR`

func find() (sdk SDK, missing []string) {
	if root := os.Getenv("CLOUDSDK_ROOT_DIR"); root != "" {
		return look(root)
	}
	gcloud, err := exec.LookPath("gcloud")
	if err != nil {
		return SDK{}, []string{"gcloud"}
	}
	if path, err := filepath.EvalSymlinks(gcloud); err == nil {
		// This is usually right, and asking gcloud takes a second.
		if sdk, missing = look(filepath.Dir(filepath.Dir(path))); len(missing) == 0 {
			return sdk, nil
		}
	}
	return look(askGcloud(gcloud))
}

func look(root string) (sdk SDK, missing []string) {
	sdk = SDK{
		Root:      root,
		Firestore: filepath.Join(root, firestoreLauncher),
		PubSub:    filepath.Join(root, pubsubLauncher),
	}
	if _, err := exec.LookPath(sdk.Firestore); err != nil {
		missing = append(missing, "Firestore emulator")
	}
	if _, err := exec.LookPath(sdk.PubSub); err != nil {
		missing = append(missing, "Pub/Sub emulator")
	}
	return sdk, missing
}

func askGcloud(gcloud string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, gcloud, "info", "--format=value(installation.sdk_root)").Output()
	return strings.TrimSpace(string(out))
}

// haveJava looks for Java where the launchers do.
func haveJava() bool {
	if _, err := exec.LookPath("java"); err == nil {
		return true
	}
	_, err := exec.LookPath(filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java"))
	return os.Getenv("JAVA_HOME") != "" && err == nil
}
