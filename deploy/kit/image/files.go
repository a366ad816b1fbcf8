package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Ids of the user nonroot, as in Google's distroless images.
const nonroot = 65532

// file is a file of the image, whose owner is root: the program can change none.
type file struct {
	Path    string // without a leading slash; a directory ends with one
	Mode    int64
	Content []byte
}

// base is what the program needs beside itself, as in distroless/static: a user
// who has a name, and the authorities that Google's certificates come from.
func base() []file {
	return []file{
		{Path: "etc/", Mode: 0o755},
		{Path: "etc/group", Mode: 0o644, Content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{Path: "etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{Path: "etc/ssl/", Mode: 0o755},
		{Path: "etc/ssl/certs/", Mode: 0o755},
		{Path: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Content: authorities()},
		{Path: "home/", Mode: 0o755},
		{Path: "home/nonroot/", Mode: 0o755},
	}
}

// authorities are Mozilla's, of the version in go.mod and not of the machine that
// builds. One that Mozilla trusts in part is left out: a file cannot say that.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory: cannot fail
		}
	}
	return b.Bytes()
}

// layer makes a layer that has the same bytes whenever and wherever it is made:
// no times, no names of users.
func layer(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Path, Mode: f.Mode, Size: int64(len(f.Content)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if f.Path[len(f.Path)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
}
