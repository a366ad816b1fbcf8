// Command image builds the container image of registry-worker, without a Docker
// engine: the program, static; a user who is not root; Mozilla's authorities; the
// licences. It has no shell and no package manager, and needs to write nothing.
//
//	make image                      # from the root of the repository: bin/image.tar
//	docker load < bin/image.tar     # or: crane push bin/image.tar REGISTRY/NAME:TAG
//
// The same sources, Go and go.mod make the same bytes. deploy/Dockerfile makes an
// image that runs in the same way, for who has an engine.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	var o options
	flag.StringVar(&o.Root, "root", "../..", "root of the repository")
	flag.StringVar(&o.Arch, "arch", runtime.GOARCH, "GOARCH of the image")
	flag.StringVar(&o.Version, "version", "devel", "version that the program says it has")
	flag.StringVar(&o.Profile, "pgo", "cmd/registry-worker/serve.pgo", "profile in the repository by which the program is compiled, or off")
	tag := flag.String("tag", "registry-worker:latest", "name that the image has in the archive")
	out := flag.String("o", "image.tar", "archive to write, as docker save writes it")
	flag.Parse()
	if err := run(o, *tag, *out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(o options, tag, out string) error {
	reference, err := name.NewTag(tag)
	if err != nil {
		return err
	}
	image, err := build(o)
	if err != nil {
		return err
	}
	if err := tarball.WriteToFile(out, reference, image); err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Println(out, reference, digest)
	return nil
}
