// Imports prints which package of this module imports which, from the ground up,
// with their lines: `make imports`.
//
// A package stands one floor above the highest that it imports. Lines are those of
// Go files that are not blank, comments too; tests apart.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

type room struct {
	ImportPath, Dir                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
	Module                             struct{ Path string }
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "imports:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	rooms, err := list()
	if err != nil {
		return err
	}
	floors := map[string]int{}
	for path := range rooms {
		floor(rooms, floors, path)
	}
	order := slices.SortedFunc(maps.Keys(rooms), func(a, b string) int {
		return cmp.Or(floors[a]-floors[b], strings.Compare(a, b))
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "floor\tlines\ttests\tpackage\timports")
	var lines, tests, arrows int
	for _, path := range order {
		r := rooms[path]
		own, err := count(r.Dir, r.GoFiles)
		if err != nil {
			return err
		}
		test, err := count(r.Dir, slices.Concat(r.TestGoFiles, r.XTestGoFiles))
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%s\n", floors[path], own, test, path, strings.Join(r.Imports, " "))
		lines, tests, arrows = lines+own, tests+test, arrows+len(r.Imports)
	}
	fmt.Fprintf(table, "\t%d\t%d\t%d packages\t%d imports\n", lines, tests, len(rooms), arrows)
	return table.Flush()
}

// list returns the packages of this module by their paths in it, with those of its
// own that they import.
func list() (map[string]room, error) {
	text, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,Imports,Module", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	rooms := map[string]room{}
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var r room
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return rooms, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		inside := r.Module.Path + "/"
		r.Imports = slices.DeleteFunc(r.Imports, func(path string) bool { return !strings.HasPrefix(path, inside) })
		for i, path := range r.Imports {
			r.Imports[i] = strings.TrimPrefix(path, inside)
		}
		rooms[strings.TrimPrefix(r.ImportPath, inside)] = r
	}
}

func floor(rooms map[string]room, known map[string]int, path string) int {
	at, ok := known[path]
	if !ok {
		for _, below := range rooms[path].Imports {
			at = max(at, floor(rooms, known, below)+1)
		}
		known[path] = at
	}
	return at
}

// count returns how many lines of files are not blank.
func count(dir string, files []string) (n int, err error) {
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(text) {
			if len(bytes.TrimSpace(line)) > 0 {
				n++
			}
		}
	}
	return n, nil
}
