package main

import (
	"os"
	"path/filepath"

	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// namedFile is a file that a command reads or writes, as given.
type namedFile struct {
	what string // "FILE", "--refused"
	name string // "-" is standard input, or output
	info os.FileInfo
	path string // where it is, or would be
}

func (f namedFile) String() string { return f.what + " " + terminal.Quote(f.name) }

// distinct refuses a command that would overwrite what it reads, or write two
// things into one file. A file may have several names: by links of either sort, as
// /dev/stdout, or because the shell has opened it for standard output or error. It
// is called before anything is opened. Devices such as /dev/null may occur any
// number of times.
func (in *invocation) distinct(inputs, outputs []namedFile) error {
	if credentials, _ := in.LookupEnv("GOOGLE_APPLICATION_CREDENTIALS"); credentials != "" {
		inputs = append(inputs, namedFile{what: "GOOGLE_APPLICATION_CREDENTIALS", name: credentials})
	}
	for i := range inputs {
		inputs[i].find(fileOf(in.Stdin))
	}
	for i := range outputs {
		outputs[i].find(fileOf(in.Stdout))
	}
	for i, output := range outputs {
		for _, other := range append(inputs, outputs[:i]...) {
			if output.is(other) {
				return usagef("%s and %s are one file: it would be written over", output, other)
			}
		}
	}
	for _, stream := range []struct {
		what string
		file *os.File
	}{{"standard output", fileOf(in.Stdout)}, {"standard error", fileOf(in.Stderr)}} {
		output := namedFile{what: stream.what, name: "-"}
		output.find(stream.file)
		for _, input := range inputs {
			if output.is(input) {
				return usagef("%s is also %s: it would be written over", input, stream.what)
			}
		}
	}
	return nil
}

// find finds where the file is.
func (f *namedFile) find(standard *os.File) {
	if f.name == "-" {
		if standard != nil {
			f.info, _ = standard.Stat()
		}
		return
	}
	f.info, _ = os.Stat(f.name)
	f.path = f.name
	if folder, err := filepath.EvalSymlinks(filepath.Dir(f.name)); err == nil {
		f.path = filepath.Join(folder, filepath.Base(f.name))
	}
	if absolute, err := filepath.Abs(f.path); err == nil {
		f.path = absolute
	}
}

func (f namedFile) is(other namedFile) bool {
	if f.info == nil || other.info == nil {
		return f.path != "" && f.path == other.path
	}
	return f.info.Mode()&os.ModeDevice == 0 && os.SameFile(f.info, other.info)
}
