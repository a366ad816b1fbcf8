// Package schemas is the published contract of the events' data: one JSON
// Schema (2020-12) for each type, named by the type, and an AsyncAPI 3.0
// document of the channels and messages that carry them. The files are embedded
// in the binary, and the same files are enforced on every event: the registry does
// what they say.
//
// It guarantees that Validate accepts exactly the data that design §2 allows.
// Three rules cannot be said in JSON Schema, and relations.go checks them: a move's
// tenants differ, its resources do not repeat, and its texts are bounded in bytes.
//
// It does not look at the envelope (id, source, time, size): package events
// does.
//
// A released schema does not become stricter. The directory released holds what
// was published, with examples. A test refuses edits that would make a valid event
// invalid: required fields, limits, patterns, types. New optional properties are
// allowed. A stricter contract is a new type, with its own file. There is one
// exception, named in that test: a move now has no unknown members, because a
// misspelt "resources" moved everything (design §2, §13). Archived says how a move
// in an older archive is read.
//
// It emits no telemetry.
package schemas

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed *.json asyncapi.yaml
var files embed.FS

// Files returns the schemas, {type}.json, and asyncapi.yaml.
func Files() fs.FS { return files }

// Types returns the event types that have a schema, in byte order.
func Types() []string {
	names, err := fs.Glob(files, "*.json") // sorted
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, ".json")
	}
	return names
}

// compiled are the schemas by type. The files are part of the binary, so a
// fault in them is a defect, not an error.
var compiled = sync.OnceValue(func() map[string]*jsonschema.Schema {
	schemas, err := compile(files)
	if err != nil {
		panic(err)
	}
	// repeats replaces uniqueItems, and refuses more. uniqueItems
	// compares unknown properties too, and took 1.5 s for 256 KiB of numbers.
	schemas[tenantMoved].Properties["resources"].UniqueItems = false
	return schemas
})

// compile compiles every {type}.json. References outside the files are not
// fetched; they are an error.
func compile(files fs.FS) (map[string]*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{})
	schemas := map[string]*jsonschema.Schema{}
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("parse schema %s: %w", name, err)
		}
		id, _ := doc["$id"].(string)
		if err := compiler.AddResource(id, doc); err != nil {
			return nil, fmt.Errorf("add schema %s: %w", name, err)
		}
		schema, err := compiler.Compile(id)
		if err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", name, err)
		}
		schemas[strings.TrimSuffix(name, ".json")] = schema
	}
	return schemas, nil
}
