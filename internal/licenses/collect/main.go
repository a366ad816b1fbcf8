// Command collect writes the licences of what registry-worker is linked from to a
// file: `go generate ./internal/licenses`.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const worker = "github.com/northstar-engines/realtime-registry/cmd/registry-worker"

func main() {
	if len(os.Args) != 2 {
		log.Fatal("want the file to write")
	}
	text, err := collect()
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}

// module is one that has packages in the program.
type module struct{ name, root string }

// collect returns the text of the file.
func collect() (string, error) {
	packages, goroot, err := linked()
	if err != nil {
		return "", err
	}
	owners := map[string][]string{} // of each text
	add := func(owner string, files []string) error {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			clean := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
			if !slices.Contains(owners[clean], owner) {
				owners[clean] = append(owners[clean], owner)
			}
		}
		return nil
	}
	for m, directories := range packages {
		files := legal(m.root, directories)
		if len(files) == 0 {
			return "", fmt.Errorf("%s has no licence in %s", m.name, m.root)
		}
		if err := add(m.name, files); err != nil {
			return "", err
		}
	}
	if err := add("Go (standard library and runtime)", legal(goroot, []string{goroot})); err != nil {
		return "", err
	}
	return write(owners), nil
}

// linked returns the directories of all packages but the standard library's and
// our own, by module, and where Go is.
func linked() (packages map[module][]string, goroot string, err error) {
	list := exec.Command("go", "list", "-deps", "-f",
		`{{if and .Module (not .Module.Main)}}{{.Module.Path}} {{.Module.Version}}{{"\t"}}{{.Module.Dir}}{{"\t"}}{{.Dir}}{{end}}`, worker)
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0") // as it is shipped
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, "", fmt.Errorf("list what is linked: %w", err)
	}
	packages = map[module][]string{}
	for line := range strings.Lines(string(out)) {
		if part := strings.Split(strings.TrimSpace(line), "\t"); len(part) == 3 {
			m := module{part[0], part[1]}
			packages[m] = append(packages[m], part[2])
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	return packages, string(bytes.TrimSpace(root)), err
}

var legalName = regexp.MustCompile(`(?i)^(un)?(licen[cs]es?|copying|copyright|notice|patents)([.-].*)?$`)

// legal lists the files with licences and notices of the directories and all above
// them, up to the root.
func legal(root string, directories []string) (files []string) {
	for _, directory := range directories {
		for at := directory; strings.HasPrefix(at, root); at = filepath.Dir(at) {
			entries, _ := os.ReadDir(at) // go list has been here
			for _, e := range entries {
				file := filepath.Join(at, e.Name())
				if e.Type().IsRegular() && legalName.MatchString(e.Name()) && filepath.Ext(file) != ".go" && !slices.Contains(files, file) {
					files = append(files, file)
				}
			}
		}
	}
	return files
}

func write(owners map[string][]string) string {
	type entry struct{ owners, text string }
	var entries []entry
	for text, names := range owners {
		slices.Sort(names)
		entries = append(entries, entry{strings.Join(names, "\n"), text})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.owners+"\n"+a.text, b.owners+"\n"+b.text) })
	var b strings.Builder
	b.WriteString("registry-worker is linked from the following. Generated: go generate ./internal/licenses\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), e.owners, strings.Repeat("-", 80), e.text)
	}
	return b.String()
}
