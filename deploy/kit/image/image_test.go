package main

import (
	"archive/tar"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"
)

var here = options{Root: "../../..", Arch: runtime.GOARCH, Version: "v1.2.3", Profile: "off"}

func TestTheImageRunsTheProgramAsNobodyInParticular(t *testing.T) {
	image, err := assemble(here, [][]file{base()})
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/registry-worker"}, config.Config.Entrypoint)
	require.Empty(t, config.Config.Cmd)
	require.Equal(t, "linux", config.OS)
	require.Equal(t, runtime.GOARCH, config.Architecture)

	dockerfile, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^USER 65532:65532$`, string(dockerfile))
	require.Regexp(t, `(?m)^ENTRYPOINT \["/registry-worker"\]$`, string(dockerfile))
	require.Regexp(t, `(?m)^FROM gcr\.io/distroless/static-debian\d+:nonroot$`, string(dockerfile))

	module, err := os.ReadFile("../../../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))
	require.Contains(t, string(dockerfile), "FROM golang:"+version[1]+" AS build")
}

func TestTheSameProgramMakesTheSameImage(t *testing.T) {
	digest := func() string {
		image, err := assemble(here, [][]file{base(), {{Path: "registry-worker", Mode: 0o755, Content: []byte("program")}}})
		require.NoError(t, err)
		written := filepath.Join(t.TempDir(), "image.tar")
		require.NoError(t, tarball.WriteToFile(written, nil, image))
		d, err := image.Digest()
		require.NoError(t, err)
		return d.String()
	}
	require.Equal(t, digest(), digest())
}

func TestEveryFileIsRootsAndWithoutATime(t *testing.T) {
	image, err := assemble(here, [][]file{base()})
	require.NoError(t, err)
	found := map[string]tar.Header{}
	walk(t, image, func(h *tar.Header, _ io.Reader) {
		require.Zero(t, h.ModTime.Unix(), h.Name)
		require.Zero(t, h.Uid, h.Name)
		require.Zero(t, h.Mode&0o022, "%s: others could write it", h.Name)
		found[h.Name] = *h
	})
	require.Contains(t, found, "etc/passwd")
}

func TestTheImageHasTheAuthoritiesOfGoogle(t *testing.T) {
	names := map[string]bool{}
	for block, rest := pem.Decode(authorities()); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		names[c.Subject.CommonName] = true
	}
	require.Greater(t, len(names), 100)
	require.Contains(t, names, "GTS Root R1") // https://pki.goog/repository/
}

// walk calls visit for every file of the image, as it is when it runs.
func walk(t *testing.T, image v1.Image, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	for r := tar.NewReader(flat); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		visit(h, r)
	}
}
