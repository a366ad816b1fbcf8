package layering

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var updateAPI = flag.Bool("update", false, "write docs/api.txt anew")

const apiFile = "../../docs/api.txt"

// Users may import all that is not internal. These are left out: handlers speaks of
// internal types alone, deploy is what its files are, and the emulators' tools are
// for this project's tests.
var unpromised = []string{"handlers", "deploy", "emulator", "emulator/emulatortest", "emulator/wire", "emulator/wire/rules"}

// docs/api.txt is the public API, a line for each part of it. A line that is gone
// is something that somebody's program may need.
func TestThePublicAPIIsTheOneWritten(t *testing.T) {
	now := publicAPI(t)
	if *updateAPI {
		require.NoError(t, os.WriteFile(apiFile, []byte(strings.Join(now, "\n")+"\n"), 0o644))
	}
	text, err := os.ReadFile(apiFile)
	require.NoError(t, err)
	written := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Empty(t, without(written, now), "gone from the API, or altered: programs that use it do not build any more. If that is meant, say it in CHANGELOG.md and run `make api`")
	require.Empty(t, without(now, written), "new in the API: if users need it, say it in CHANGELOG.md and run `make api`; else unexport it")
}

func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}

// publicAPI is what packages export that users can import, in the order of bytes.
func publicAPI(t *testing.T) []string {
	t.Helper()
	exports := exportData(t)
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var api []string
	for _, path := range slices.Sorted(maps.Keys(exports)) {
		name, ours := strings.CutPrefix(path, module)
		if !ours || isInternal(path) || slices.Contains(unpromised, name) {
			continue
		}
		p, err := imports.Import(path)
		require.NoError(t, err)
		if p.Name() == "main" {
			continue
		}
		for _, line := range exported(p) {
			api = append(api, name+": "+line)
		}
	}
	slices.Sort(api)
	return api
}

// exportData returns where the compiler has put what packages export.
func exportData(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", module+"...").Output()
	require.NoError(t, err)
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return exports
		} else {
			require.NoError(t, err)
		}
		if p.Export != "" { // else it has tests alone
			exports[p.ImportPath] = p.Export
		}
	}
}

func isInternal(path string) bool { return slices.Contains(strings.Split(path, "/"), "internal") }

// exported are the lines of one package.
func exported(p *types.Package) []string {
	var lines []string
	for _, name := range p.Scope().Names() {
		object := p.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		switch o := object.(type) {
		case *types.Const:
			lines = append(lines, fmt.Sprintf("const %s %s = %s", name, written(p, o.Type()), o.Val().ExactString()))
		case *types.Var:
			lines = append(lines, fmt.Sprintf("var %s %s", name, written(p, o.Type())))
		case *types.Func:
			lines = append(lines, "func "+name+signature(p, o.Signature()))
		case *types.TypeName:
			lines = append(lines, typeLines(p, o)...)
		}
	}
	return lines
}

// typeLines are a type's kind, its exported fields, and its methods.
func typeLines(p *types.Package, o *types.TypeName) []string {
	name := o.Name()
	lines := []string{"type " + name + " " + kind(p, o)}
	if s, ok := o.Type().Underlying().(*types.Struct); ok {
		for f := range s.Fields() {
			if f.Exported() && usable(f.Type()) {
				lines = append(lines, fmt.Sprintf("field %s.%s %s", name, f.Name(), written(p, f.Type())))
			}
		}
	}
	if types.IsInterface(o.Type()) {
		return lines
	}
	for m := range types.NewMethodSet(types.NewPointer(o.Type())).Methods() {
		f := m.Obj().(*types.Func)
		if f.Exported() && promised(f) {
			lines = append(lines, fmt.Sprintf("method %s.%s%s", name, f.Name(), signature(p, f.Signature())))
		}
	}
	return lines
}

// kind is what is behind a type's name: all of it, except for a struct's fields.
func kind(p *types.Package, o *types.TypeName) string {
	if o.IsAlias() {
		return "= " + written(p, types.Unalias(o.Type()))
	}
	switch u := o.Type().Underlying().(type) {
	case *types.Struct:
		return "struct"
	case *types.Interface:
		var methods []string
		for m := range u.Methods() {
			methods = append(methods, m.Name()+signature(p, m.Signature()))
		}
		return "interface { " + strings.Join(methods, "; ") + " }"
	default:
		return written(p, u)
	}
}

// promised reports whether a method is part of the API. Those that a store has from
// an internal type are for the packages beside it, except for what registry.Store and
// quota.Store ask, and Close.
func promised(f *types.Func) bool {
	if f.Pkg() == nil || !isInternal(f.Pkg().Path()) {
		return usable(f.Signature().Params()) && usable(f.Signature().Results())
	}
	return slices.Contains([]string{"Close", "Claim", "Owner", "Load", "Save", "Watch"}, f.Name())
}

// usable reports whether a type names nothing that is internal to this module.
func usable(t types.Type) bool {
	text := types.TypeString(t, nil)
	return !strings.Contains(text, module) || !strings.Contains(text, "/internal/")
}

// signature has no names of parameters: callers do not use them.
func signature(p *types.Package, s *types.Signature) string {
	unnamed := func(all *types.Tuple) *types.Tuple {
		var vars []*types.Var
		for v := range all.Variables() {
			vars = append(vars, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(vars...)
	}
	bare := types.NewSignatureType(nil, nil, nil, unnamed(s.Params()), unnamed(s.Results()), s.Variadic())
	return strings.TrimPrefix(written(p, bare), "func")
}

// written is a type with the names of packages as users write them.
func written(p *types.Package, t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		if other == p {
			return ""
		}
		return other.Name()
	})
}
