package main

import (
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/northstar-engines/realtime-registry/deploy/kit/internal/program"
)

// entrypoint is where the program lies in the image.
const entrypoint = "/registry-worker"

// options say what to build.
type options struct {
	Root    string // of the repository
	Arch    string // GOARCH; the system is linux
	Version string // what the program says of itself; empty: what Go knows
	Profile string // by which it is compiled, a file in the repository; or off
}

// build compiles the program and makes its image: a layer that changes with the
// authorities, and one that changes with the program.
func build(o options) (v1.Image, error) {
	compiled, err := compile(o)
	if err != nil {
		return nil, err
	}
	licence, err := os.ReadFile(filepath.Join(o.Root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	linked, err := os.ReadFile(filepath.Join(o.Root, "internal", "licenses", "third_party.txt"))
	if err != nil {
		return nil, err
	}
	return assemble(o, [][]file{base(), {
		{Path: "licenses/", Mode: 0o755},
		{Path: "licenses/LICENSE", Mode: 0o644, Content: licence},
		{Path: "licenses/third_party.txt", Mode: 0o644, Content: linked},
		{Path: entrypoint[1:], Mode: 0o755, Content: compiled},
	}})
}

// assemble puts the layers together. The image has no time of its own: what was
// made from the same sources has the same digest.
func assemble(o options, layers [][]file) (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, files := range layers {
		l, err := layer(files)
		if err != nil {
			return nil, err
		}
		if image, err = mutate.AppendLayers(image, l); err != nil {
			return nil, err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", o.Arch
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", nonroot, nonroot), // by number: Kubernetes' runAsNonRoot knows no names
		Entrypoint: []string{entrypoint},
		WorkingDir: "/home/nonroot",
		Env:        []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "registry-worker",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.version":  o.Version,
		},
	}
	return mutate.ConfigFile(image, config)
}

// compile returns the program.
func compile(o options) ([]byte, error) {
	dir, err := os.MkdirTemp("", "registry-worker-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "registry-worker")
	if err := program.Build(o.Root, o.Arch, o.Version, o.Profile, path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
