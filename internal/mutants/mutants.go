// Package mutants builds programs from sources that were edited on the way, without
// touching a file: the next release, for tests that run both, or this one without a
// rule, for proofs that a test notices it.
package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Edit is a change of a source file.
type Edit struct {
	File     string // from the module's root
	Old, New string // Old must be in the file, once
}

// Root returns the directory of the module.
func Root() (string, error) {
	top, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(top)), err
}

// Edited returns the texts of the files that edits of a module change, by path. The
// error says which edit does not apply.
func Edited(root string, edits ...Edit) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		file := filepath.Join(root, e.File)
		if _, ok := texts[file]; !ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			texts[file] = string(text)
		}
		if n := strings.Count(texts[file], e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %d times, and not once: %s", e.File, n, e.Old)
		}
		texts[file] = strings.Replace(texts[file], e.Old, e.New, 1)
	}
	return texts, nil
}

// Overlay writes edited files of a module into dir, and returns the file for the go
// command's -overlay.
func Overlay(root, dir string, edits ...Edit) (string, error) {
	texts, err := Edited(root, edits...)
	if err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		edited := filepath.Join(dir, fmt.Sprint(len(overlay.Replace), ".go"))
		overlay.Replace[file] = edited
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, list, 0o600)
}
