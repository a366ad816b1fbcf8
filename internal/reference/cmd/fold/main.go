// Fold prints what `registry-worker export` must print once the events of some
// archives are applied, by the reference fold: the registry is held against it.
//
//	go run ./internal/reference/cmd/fold FILE... > want
//	registry-worker export | diff want -
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/reference"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: fold FILE... (NDJSON, .gz too; - is stdin)")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fold:", err)
		os.Exit(1)
	}
}

func run(files []string) error {
	reader, err := archive.Open(files, os.Stdin)
	if err != nil {
		return err
	}
	var fold reference.Registry
	for line, err := range reader.Lines(context.Background()) {
		if err != nil {
			return err
		}
		if line.Refusal != nil {
			return fmt.Errorf("%s:%d: %w", line.File, line.Number, line.Refusal)
		}
		event, err := archived.Decode(line.Text, time.Now())
		if err != nil {
			return fmt.Errorf("%s:%d: %w", line.File, line.Number, err)
		}
		fold.Add(handlers.Changes(event)...)
	}
	out := bufio.NewWriter(os.Stdout)
	owners := fold.Owners()
	for _, r := range fold.Resources() {
		fmt.Fprintf(out, "{\"kind\":%q,\"id\":%q,\"tenant_id\":%q}\n", r.Kind, r.ID, owners[r])
	}
	return out.Flush()
}
